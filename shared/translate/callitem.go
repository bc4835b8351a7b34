package translate

import (
	"unicode/utf8"

	"antwort/shared/jsontext"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// callItem translates a call whose member is a text.
func (w *requestWork) callItem(o *fastjson.Object, i int, typ, member string) *responses.Error {
	id, err := callID(o, i, "call_id")
	if err != nil {
		return err
	}
	name, err := itemString(o, i, "name")
	if err != nil {
		return err
	}
	var space []byte
	if namespace := o.Get("namespace"); !jsontext.IsNull(namespace) {
		if space, err = itemString(o, i, "namespace"); err != nil {
			return err
		}
	}
	if err := w.beginAssistant(); err != nil {
		return err
	}
	w.scratch = w.scratch[:0]
	if v := o.Get(member); v == nil || !jsontext.IsNull(v) || typ == "custom" { // null arguments are none
		if w.scratch, err = appendText(w.scratch, v, item(i), member); err != nil {
			return err
		}
	}
	arguments := customArguments
	if typ == "function" {
		arguments = w.objectArguments
	}
	if len(space) > 0 || len(name) > maxUpstreamName || w.toolset.renames {
		name = []byte(w.toolset.nameOf(string(space), string(name), typ))
	}
	w.intoCall("id", i, "call_id")
	w.intoCall("function.name", i, "name")
	w.intoCall("function.name", i, "namespace")
	w.intoCall("function.arguments", i, member)
	w.assistant.call(id, i, name, arguments(w.scratch))
	return nil
}

// clientCallItem translates a call of a tool that the client runs.
func (w *requestWork) clientCallItem(o *fastjson.Object, i int, typ string) *responses.Error {
	id, err := outputID(o, i)
	if err != nil {
		return err
	}
	arguments, err := clientArguments(nil, typ, o, i)
	if err != nil {
		return err
	}
	if err := w.beginAssistant(); err != nil {
		return err
	}
	w.intoCall("id", i, idMember(o))
	w.intoCall("function.name", i, "type")
	w.intoCall("function.arguments", i, argumentsMember(typ))
	w.assistant.call(id, i, []byte(w.toolset.nameOf("", typ, typ)), w.objectArguments(jsontext.AppendEscaped(nil, arguments)))
	return nil
}

// objectArguments returns the arguments, escaped, of a call that said the given
// escaped text. Upstream they must be one JSON object: vLLM and its chat
// templates refuse anything else, in every later turn. What a model said else
// stays in it as a text.
func (w *requestWork) objectArguments(said []byte) []byte {
	if isNoObject(said) {
		return wrapped(`{"arguments":"`, said)
	}
	w.decoded = jsontext.Decode(w.decoded[:0], said)
	text := trim(w.decoded)
	switch {
	case len(text) == 0, string(text) == "null":
		return []byte("{}")
	case text[0] == '{' && isWhole(text):
		return said
	}
	return wrapped(`{"arguments":"`, said)
}

// isNoObject reports whether an escaped text says by its first bytes that it is neither
// an object nor none at all: then it need not be decoded.
func isNoObject(said []byte) bool {
	if len(said) < 2 {
		return false
	}
	switch said[0] {
	case '{', ' ', 'n': // null is none
		return false
	case '\\': // a blank and a brace may be written so
		return said[1] == '"' || said[1] == '\\'
	}
	return true
}

// customArguments returns the arguments, escaped, of a custom tool's call with
// the given escaped input.
func customArguments(input []byte) []byte { return wrapped(`{"input":"`, input) }

// wrapped returns, escaped, an object whose only text is the given escaped one.
func wrapped(head string, text []byte) []byte {
	arguments := jsontext.AppendEscaped(make([]byte, 0, len(text)+len(text)/4+32), head)
	arguments = jsontext.AppendEscaped(arguments, text)
	return jsontext.AppendEscaped(arguments, `"}`)
}

// maxCallID is the longest call_id of the Responses API, in characters.
const maxCallID = 64

func callID(o *fastjson.Object, i int, member string) ([]byte, *responses.Error) {
	id, err := itemString(o, i, member)
	if err == nil && utf8.RuneCount(id) > maxCallID {
		err = responses.Invalid(item(i).of(member), "is longer than 64 characters")
		err.Code = "string_above_max_length"
	}
	return id, err
}

// outputID returns the id of a call; items of some tools that the client runs
// have it as their own.
func outputID(o *fastjson.Object, i int) ([]byte, *responses.Error) {
	id, err := callID(o, i, "call_id")
	if err != nil && o.Get("call_id") == nil && o.Get("id") != nil {
		return callID(o, i, "id")
	}
	return id, err
}
