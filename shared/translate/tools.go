package translate

import (
	"strconv"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
)

// tools writes tools and tool_choice. Without tools neither is sent.
func (w *requestWork) tools(choice *responses.ToolChoice) *responses.Error {
	if err := w.toolset.choose(choice); err != nil {
		return err
	}
	lowered, sent := w.toolset.lowered, 0
	for i := range lowered {
		if !lowered[i].allowed {
			w.notAllowed(&lowered[i])
			continue
		}
		if sent == 0 {
			w.str(`,"tools":[`)
		} else {
			w.str(`,`)
		}
		sent++
		if err := w.tool(&lowered[i]); err != nil {
			return err
		}
	}
	if sent > 0 {
		w.str(`]`)
	}
	switch {
	case sent == 0 && choice.Mode == "required":
		return w.nothingToCall()
	case sent == 0:
		w.leftOut("tool_choice", "no tools are sent")
		w.leftOut("parallel_tool_calls", "no tools are sent")
		return nil // what says how tools are called goes with them
	case choice.Mode == "":
		w.toldChoice(choice)
		w.word(`,"tool_choice":{"type":"function","function":{"name":"`, w.toolset.nameOfRef(choice.Tools[0]), `"}}`)
	case w.r.ToolChoice != nil:
		w.toldChoice(choice)
		w.word(`,"tool_choice":"`, choice.Mode, `"`)
	}
	w.field("parallel_tool_calls", "parallel_tool_calls", w.r.ParallelToolCalls)
	return nil
}

func (w *requestWork) nothingToCall() *responses.Error {
	if len(w.toolset.dropped) > 0 {
		return invalidValue("tool_choice", "required needs tools, and none is left: "+w.toolset.droppedTypes()+" cannot be run here")
	}
	return invalidValue("tool_choice", "required needs tools, and there are none")
}

func (s *toolset) nameOfRef(ref responses.ToolRef) string {
	if responses.IsClientRun(ref.Type) {
		return s.nameOf("", ref.Type, ref.Type)
	}
	return s.nameOf(ref.Namespace, ref.Name, ref.Type)
}

// choose marks the tools that allowed_tools leaves; what tool_choice names
// must be there.
func (s *toolset) choose(choice *responses.ToolChoice) *responses.Error {
	if choice.Allowed {
		for i := range s.lowered {
			s.lowered[i].allowed = false
		}
	}
	for _, ref := range choice.Tools {
		at, found := s.names[s.nameOfRef(ref)]
		if !found || s.lowered[at].Type != ref.Type {
			return noSuchTool(ref)
		}
		s.lowered[at].allowed = true
	}
	return nil
}

func noSuchTool(ref responses.ToolRef) *responses.Error {
	if responses.IsClientRun(ref.Type) {
		return invalidValue(ref.Path, "there is no tool of type "+ref.Type+" in tools")
	}
	return invalidValue(ref.Path, "there is no "+ref.Type+" tool "+quote(ref.Name)+" in tools")
}

func (w *requestWork) tool(t *loweredTool) *responses.Error {
	w.word(`{"type":"function","function":{"name":"`, t.upstream, `"`)
	w.toldTool(t)
	before := len(w.dst)
	w.str(`,"description":"`)
	begin := len(w.dst)
	w.dst = t.appendDescription(w.dst, w.tracing)
	if err := w.tellNamespace(t.namespace, begin); err != nil {
		return err
	}
	if len(w.dst) > begin {
		w.str(`"`)
	} else { // there is none
		w.dst = w.dst[:before]
	}
	switch {
	case t.Type == "custom":
		w.str(`,"parameters":{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}`)
	case t.IsClientRun():
		w.clientParameters(t.Tool)
		w.str(`}}`)
		return nil
	default:
		w.toolMember(t.Tool, "parameters")
		start := len(w.dst)
		w.member("parameters", t.Parameters)
		t.Written = w.dst[start:]
		w.toolMember(t.Tool, "strict")
		w.member("strict", t.Strict)
	}
	for _, m := range t.Extra {
		w.toolMember(t.Tool, m.Key)
		w.extraMember(m)
	}
	w.str(`}}`)
	return nil
}

// appendDescription appends what the model is told of the tool, escaped. What a function
// has no place for, a custom tool's grammar, is told there.
func (t *loweredTool) appendDescription(dst []byte, told tracing) []byte {
	const to = "function.description"
	start := len(dst)
	told.toolMember(t.Tool, "description")
	jsontext.DecodeOnce(t.Description) // the answer repeats it
	dst = jsontext.AppendInside(dst, t.Description)
	if t.Type == "custom" && string(jsontext.Start(t.Format.Get("type"))) == "grammar" {
		dst = paragraph(dst, start)
		told.toolTo(t.Tool, "format", to)
		dst = append(dst, "The input must match this "...)
		dst = jsontext.AppendInside(dst, t.Format.Get("syntax"))
		dst = append(dst, " grammar:"+newline...)
		definition := t.Format.Get("definition")
		jsontext.DecodeOnce(definition)
		dst = jsontext.AppendInside(dst, definition)
	}
	if t.IsClientRun() && len(dst) == start {
		dst = jsontext.AppendEscaped(dst, clientDescription(t.Tool))
		told.toolTo(t.Tool, "environment", to)
	}
	return dst
}

// tellNamespace writes the description of the namespace, if there is one, behind that of its
// tool, which begins at start.
func (w *requestWork) tellNamespace(n *responses.Tool, start int) *responses.Error {
	if n == nil || n.Description == nil {
		return nil
	}
	w.toolTo(n, "description", "function.description")
	w.dst = paragraph(w.dst, start)
	from := len(w.dst)
	if n.Written == nil {
		jsontext.DecodeOnce(n.Description)
		w.dst = jsontext.AppendInside(w.dst, n.Description)
	} else {
		w.dst = append(w.dst, n.Written...)
	}
	n.Written = w.dst[from:]
	most := w.opt.TextBytes
	if most == 0 {
		most = maxRepeated
	}
	if w.repeated += len(n.Written); w.repeated > most {
		err := responses.Invalid(n.Path()+".description", "is told with each tool of the namespace, which makes more than the limit of "+strconv.Itoa(most)+" bytes: shorten it")
		err.Code = "limit_exceeded"
		return err
	}
	return nil
}

// maxRepeated is how many bytes the descriptions of namespaces may become where no text has
// another bound.
const maxRepeated = 8 << 20

// paragraph begins another one behind what has been said since start.
func paragraph(dst []byte, start int) []byte {
	if len(dst) == start {
		return dst
	}
	return append(dst, newline+newline...)
}

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }
