package translate

import (
	"strconv"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
)

// loweredTool is a tool as the upstream gets it: always a function.
type loweredTool struct {
	*responses.Tool
	namespace *responses.Tool // nil without one
	upstream  string          // the function's name upstream
	allowed   bool
}

// raisedTool tells how a call of a lowered tool is raised back.
type raisedTool struct {
	upstream, name, namespace string
	custom                    bool
}

// flatName is the upstream name of a namespace's tool.
func flatName(namespace, name string) string { return namespace + "__" + name }

func lowerTools(tools []responses.Tool) ([]loweredTool, *responses.Error) {
	if len(tools) == 0 {
		return nil, nil
	}
	lowered := make([]loweredTool, 0, len(tools))
	seen := make(map[string]struct{}, len(tools))
	add := func(t, namespace *responses.Tool) *responses.Error {
		name := t.Name
		if namespace != nil {
			name = flatName(namespace.Name, name)
		}
		problem := ""
		if _, twice := seen[name]; twice {
			problem = "two tools have the name " + strconv.Quote(name)
		} else if !responses.ValidName(name) {
			problem = "the name " + strconv.Quote(cut(name)) + ", made of the namespace and the tool, is longer than 64 characters"
		}
		if problem != "" {
			path := responses.At("tools", t.Index, "name")
			if namespace != nil {
				path = responses.At("tools", namespace.Index, "tools", t.Index, "name")
			}
			return invalidValue(path, problem)
		}
		seen[name] = struct{}{}
		lowered = append(lowered, loweredTool{Tool: t, namespace: namespace, upstream: name, allowed: true})
		return nil
	}
	for i := range tools {
		t := &tools[i]
		if t.Type != "namespace" {
			if err := add(t, nil); err != nil {
				return nil, err
			}
			continue
		}
		for j := range t.Tools {
			if err := add(&t.Tools[j], t); err != nil {
				return nil, err
			}
		}
	}
	return lowered, nil
}

// raisedTools appends the tools whose calls do not go back as they come.
func raisedTools(raised []raisedTool, lowered []loweredTool) []raisedTool {
	for _, t := range lowered {
		r := raisedTool{upstream: t.upstream, name: t.Name, custom: t.Type == "custom"}
		if t.namespace != nil {
			r.namespace = t.namespace.Name
		}
		if r.custom || r.namespace != "" {
			raised = append(raised, r)
		}
	}
	return raised
}

// raise returns the call of the client's tool for a call of the upstream's
// function.
func (u *Turn) raise(upstream []byte) responses.Call {
	for _, t := range u.raised {
		if t.upstream == string(upstream) {
			return responses.Call{Name: t.name, Namespace: t.namespace, Custom: t.custom}
		}
	}
	return responses.Call{Name: string(upstream)}
}

// tools writes tools and tool_choice. Without tools neither is sent.
func (w *requestWork) tools(lowered []loweredTool, choice responses.ToolChoice) *responses.Error {
	if err := choose(lowered, choice); err != nil {
		return err
	}
	sent := 0
	for i := range lowered {
		if !lowered[i].allowed {
			continue
		}
		if sent == 0 {
			w.str(`,"tools":[`)
		} else {
			w.str(`,`)
		}
		sent++
		w.tool(&lowered[i])
	}
	if sent > 0 {
		w.str(`]`)
	}
	switch {
	case len(choice.Tools) > 0 && choice.Mode == "":
		w.str(`,"tool_choice":{"type":"function","function":{"name":"`)
		w.str(upstreamName(choice.Tools[0]))
		w.str(`"}}`)
	case sent == 0 && choice.Mode == "required":
		return invalidValue("tool_choice", "required needs tools, and there are none")
	case sent > 0 && w.r.ToolChoice != nil:
		w.str(`,"tool_choice":"`)
		w.str(choice.Mode)
		w.str(`"`)
	}
	w.member("parallel_tool_calls", w.r.ParallelToolCalls)
	return nil
}

func upstreamName(ref responses.ToolRef) string {
	if ref.Namespace != "" {
		return flatName(ref.Namespace, ref.Name)
	}
	return ref.Name
}

// choose marks the tools that allowed_tools leaves; what tool_choice names
// must be there.
func choose(lowered []loweredTool, choice responses.ToolChoice) *responses.Error {
	if len(choice.Tools) == 0 {
		return nil
	}
	for i := range lowered {
		lowered[i].allowed = choice.Mode == ""
	}
	for _, ref := range choice.Tools {
		found := false
		for i := range lowered {
			if lowered[i].upstream == upstreamName(ref) && lowered[i].Type == ref.Type {
				lowered[i].allowed = true
				found = true
			}
		}
		if !found {
			return invalidValue(ref.Path, "there is no "+ref.Type+" tool "+strconv.Quote(cut(ref.Name))+" in tools")
		}
	}
	return nil
}

func (w *requestWork) tool(t *loweredTool) {
	w.str(`{"type":"function","function":{"name":"`)
	w.str(t.upstream)
	w.str(`"`)
	if text := t.description(); len(text) > 0 {
		w.str(`,"description":`)
		w.dst = jsontext.AppendString(w.dst, text)
	}
	if t.Type == "custom" {
		w.str(`,"parameters":{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}`)
	} else {
		w.member("parameters", t.Parameters)
		w.member("strict", t.Strict)
	}
	for _, m := range t.Extra {
		w.str(`,`)
		w.dst = jsontext.AppendString(w.dst, m.Key)
		w.str(`:`)
		w.dst = jsontext.AppendValue(w.dst, m.Value)
	}
	w.str(`}}`)
}

// description returns what the model is told of the tool. What a function has
// no place for, a custom tool's grammar and a namespace's description, is told
// there.
func (t *loweredTool) description() []byte {
	text := t.Description.GetStringBytes()
	text = text[:len(text):len(text)]
	if t.Type == "custom" && string(t.Format.GetStringBytes("type")) == "grammar" {
		text = paragraph(text)
		text = append(text, "The input must match this "...)
		text = append(text, t.Format.GetStringBytes("syntax")...)
		text = append(text, " grammar:\n"...)
		text = append(text, t.Format.GetStringBytes("definition")...)
	}
	if t.namespace != nil && t.namespace.Description != nil {
		text = append(paragraph(text), t.namespace.Description.GetStringBytes()...)
	}
	return text
}

func paragraph(text []byte) []byte {
	if len(text) == 0 {
		return text
	}
	return append(text, "\n\n"...)
}

// customArguments returns the arguments, escaped, of a custom tool's call with
// the given escaped input.
func customArguments(input []byte) []byte {
	arguments := jsontext.AppendEscaped(nil, `{"input":"`)
	arguments = jsontext.AppendEscaped(arguments, input)
	return jsontext.AppendEscaped(arguments, `"}`)
}

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }
