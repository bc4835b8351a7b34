package translate

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"antwort/shared/jsontext"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// A place is where something stands in input: an item, or a part of one of its
// lists. Its path is made only for errors.
type place struct {
	item int
	list string // empty for the item itself
	part int
}

func item(i int) place { return place{item: i} }

func (p place) path() string {
	if p.list == "" {
		return responses.At("input", p.item)
	}
	return responses.At("input", p.item, p.list, p.part)
}

func (p place) of(member string) string { return p.path() + "." + member }

// item translates input[i].
func (w *requestWork) item(v *fastjson.Value, i int) *responses.Error {
	o := v.GetObject()
	if o == nil {
		return responses.WrongType(item(i).path(), "an object", v)
	}
	typ, err := itemType(o, i)
	if err != nil {
		return err
	}
	switch string(typ) {
	case "message":
		return w.message(o, i)
	case "function_call":
		return w.callItem(o, i, false)
	case "custom_tool_call":
		return w.callItem(o, i, true)
	case "function_call_output", "custom_tool_call_output":
		return w.callOutput(o, i)
	case "reasoning":
		return w.reasoning(o, i)
	case "item_reference":
		err := responses.Invalid(item(i).path(), "no item is stored here: send the item itself instead of an item_reference")
		err.Code = "previous_response_not_found"
		return err
	}
	if w.opt.DropUnsupportedTools && isHosted(string(typ)) {
		return nil
	}
	err = responses.Invalid(item(i).of("type"), "items of type "+strconv.Quote(cut(string(typ)))+" are not supported")
	err.Code = "unsupported_item"
	return err
}

// isHosted reports whether an item belongs to a tool that its provider runs.
func isHosted(typ string) bool {
	return strings.HasSuffix(typ, "_call") || strings.HasSuffix(typ, "_call_output") || strings.HasPrefix(typ, "mcp_") || strings.HasPrefix(typ, "tool_search_")
}

var messageType, referenceType = []byte("message"), []byte("item_reference")

// itemType returns the type of an item; it lives as long as the request.
func itemType(o *fastjson.Object, i int) ([]byte, *responses.Error) {
	switch v := o.Get("type"); {
	case !jsontext.IsNull(v):
		if v.Type() != fastjson.TypeString {
			return nil, responses.WrongType(item(i).of("type"), "a string", v)
		}
		return v.GetStringBytes(), nil
	case o.Get("role") != nil:
		return messageType, nil
	case o.Get("id") != nil && o.Len() <= 2:
		return referenceType, nil
	}
	return nil, missing(item(i).of("type"))
}

func (w *requestWork) message(o *fastjson.Object, i int) *responses.Error {
	role := o.Get("role")
	if jsontext.IsNull(role) {
		return missing(item(i).of("role"))
	}
	if role.Type() != fastjson.TypeString {
		return responses.WrongType(item(i).of("role"), "a string", role)
	}
	content := o.Get("content")
	if jsontext.IsNull(content) {
		return missing(item(i).of("content"))
	}
	switch string(role.GetStringBytes()) {
	case "user":
		w.beginTurn()
		w.nextMessage()
		w.str(`{"role":"user","content":`)
		if err := w.userContent(content, i); err != nil {
			return err
		}
		w.str(`}`)
		return nil
	case "system", "developer":
		text, err := w.plainText(content, i)
		if err != nil {
			return err
		}
		w.systemText(text)
		return nil
	case "assistant":
		w.beginAssistant()
		return w.assistantContent(content, i)
	}
	return invalidValue(item(i).of("role"), "unknown role "+strconv.Quote(cut(string(role.GetStringBytes())))+"; allowed: user, assistant, system, developer")
}

func (w *requestWork) reasoning(o *fastjson.Object, i int) *responses.Error {
	w.beginAssistant()
	// The whole thought, or else its summary. One that is only encrypted is
	// not for us to read.
	for _, list := range [...]struct{ member, part string }{{"content", "reasoning_text"}, {"summary", "summary_text"}} {
		v := o.Get(list.member)
		if jsontext.IsNull(v) {
			continue
		}
		if v.Type() != fastjson.TypeArray {
			return responses.WrongType(item(i).of(list.member), "an array", v)
		}
		parts := v.GetArray()
		for j, part := range parts {
			at := place{i, list.member, j}
			if typ, err := partType(part, at); err != nil {
				return err
			} else if string(typ) != list.part && string(typ) != "text" {
				return unknownPart(at, typ)
			}
			a := &w.assistant
			if len(a.reasoning) > 0 {
				a.reasoning = append(a.reasoning, newline...)
			}
			var err *responses.Error
			if a.reasoning, err = appendText(a.reasoning, part.Get("text"), at, "text"); err != nil {
				return err
			}
		}
		if len(parts) > 0 {
			return nil
		}
	}
	return nil
}

func (w *requestWork) callItem(o *fastjson.Object, i int, custom bool) *responses.Error {
	id, err := callID(o, i)
	if err != nil {
		return err
	}
	name, err := itemString(o, i, "name")
	if err != nil {
		return err
	}
	if namespace := o.Get("namespace"); !jsontext.IsNull(namespace) {
		space, err := itemString(o, i, "namespace")
		if err != nil {
			return err
		}
		name = []byte(flatName(string(space), string(name)))
	}
	member := "arguments"
	if custom {
		member = "input"
	}
	w.scratch, err = appendText(w.scratch[:0], o.Get(member), item(i), member)
	if err != nil {
		return err
	}
	w.beginAssistant()
	if custom {
		w.assistant.call(id, name, customArguments(w.scratch))
	} else {
		w.assistant.call(id, name, w.scratch)
	}
	return nil
}

func (w *requestWork) callOutput(o *fastjson.Object, i int) *responses.Error {
	id, err := callID(o, i)
	if err != nil {
		return err
	}
	output := o.Get("output")
	if jsontext.IsNull(output) {
		return missing(item(i).of("output"))
	}
	// No flushMedia: the results of one turn's calls follow each other.
	w.flushSystem()
	w.flushAssistant()
	text, err := w.toolResult(output, i)
	if err != nil {
		return err
	}
	w.nextMessage()
	w.str(`{"role":"tool","tool_call_id":`)
	w.dst = jsontext.AppendString(w.dst, id)
	w.str(`,"content":`)
	w.quoted(text)
	w.str(`}`)
	return nil
}

// maxCallID is the longest call_id of the Responses API, in characters.
const maxCallID = 64

func callID(o *fastjson.Object, i int) ([]byte, *responses.Error) {
	id, err := itemString(o, i, "call_id")
	if err == nil && utf8.RuneCount(id) > maxCallID {
		err = responses.Invalid(item(i).of("call_id"), "is longer than 64 characters")
		err.Code = "string_above_max_length"
	}
	return id, err
}

// itemString returns a member that must be a string and not empty; it lives as
// long as the request.
func itemString(o *fastjson.Object, i int, member string) ([]byte, *responses.Error) {
	v := o.Get(member)
	if jsontext.IsNull(v) {
		return nil, missing(item(i).of(member))
	}
	if v.Type() != fastjson.TypeString {
		return nil, responses.WrongType(item(i).of(member), "a string", v)
	}
	s := v.GetStringBytes()
	if len(s) == 0 {
		return nil, invalidValue(item(i).of(member), "must not be empty")
	}
	return s, nil
}

func missing(param string) *responses.Error {
	err := responses.Invalid(param, "is required")
	err.Code = "missing_required_parameter"
	return err
}

func invalidValue(param, message string) *responses.Error {
	err := responses.Invalid(param, message)
	err.Code = "invalid_value"
	return err
}

// cut shortens what a client sent for a message that quotes it.
func cut(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:61], "") + "..."
	}
	return s
}
