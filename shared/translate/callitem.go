package translate

import (
	"strconv"
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
	var said []byte
	if v := o.Get(member); v == nil || !jsontext.IsNull(v) || typ == "custom" { // null arguments are none
		if said, err = w.text(v, item(i), member); err != nil {
			return err
		}
	}
	if err := w.takes(len(said), jsontext.EscapesOf(said), i, member); err != nil {
		return err
	}
	if len(space) > 0 || len(name) > maxUpstreamName || w.toolset.renames {
		name = []byte(w.toolset.nameOf(shortName(space), shortName(name), typ))
	}
	w.intoCall("id", i, "call_id")
	w.intoCall("function.name", i, "name")
	w.intoCall("function.name", i, "namespace")
	w.intoCall("function.arguments", i, member)
	w.assistant.beginCall(id, i, name)
	if typ == "function" {
		w.objectArguments(said)
	} else {
		w.assistant.wrapped(`{"input":"`, said)
	}
	w.assistant.endCall()
	return nil
}

// clientCallItem translates a call of a tool that the client runs.
func (w *requestWork) clientCallItem(o *fastjson.Object, i int, typ string) *responses.Error {
	id, err := outputID(o, i)
	if err != nil {
		return err
	}
	arguments, isObject, err := w.clientArguments(typ, o, i)
	if err != nil {
		return err
	}
	if err := w.beginAssistant(); err != nil {
		return err
	}
	w.intoCall("id", i, idMember(o))
	w.intoCall("function.name", i, "type")
	w.intoCall("function.arguments", i, argumentsMember(typ))
	w.assistant.beginCall(id, i, []byte(w.toolset.nameOf("", typ, typ)))
	if isObject {
		a := &w.assistant
		a.calls = jsontext.AppendEscaped(jsontext.Grow(a.calls, len(arguments)+len(arguments)/8), arguments)
	} else {
		w.objectArguments(arguments)
	}
	w.assistant.endCall()
	return nil
}

// takes counts the arguments of the call that an item tells. They are looked into, and written
// anew, at once.
func (w *requestWork) takes(bytes, escapes, i int, member string) *responses.Error {
	w.arguments += bytes
	w.argued += escapes
	if most := w.opt.TextBytes; most > 0 && w.arguments > most {
		return responses.Invalid(item(i).of(member), "makes the arguments of all calls longer than the limit of "+strconv.Itoa(most)+" bytes")
	}
	if most := w.opt.Limits.ArgumentEscapes(); most > 0 && w.argued > most {
		return responses.Invalid(item(i).of(member), "gives the arguments of all calls more escapes than the limit of "+strconv.Itoa(most))
	}
	return nil
}

// objectArguments writes the arguments of a call that said the given escaped text.
// Upstream they must be one JSON object: vLLM and its chat templates refuse anything
// else, in every later turn. What a model said else stays in it as a text.
func (w *requestWork) objectArguments(said []byte) {
	a := &w.assistant
	switch w.meaning(said) {
	case saidObject:
		a.said(said, false)
	case saidNothing:
		a.calls = append(a.calls, "{}"...)
	default:
		a.wrapped(`{"arguments":"`, said)
	}
}

// meaning is what arguments are.
type meaning uint8

const (
	saidElse meaning = iota
	saidObject
	saidNothing // blanks, or null
)

// meaning finds it out of an escaped text, of which it decodes no more than a part at
// once.
func (w *requestWork) meaning(said []byte) meaning {
	if isNoObject(said) || w.values >= maxValues && len(said) > 0 && said[0] == '{' {
		return saidElse
	}
	if len(said) <= jsontext.LongString {
		w.decoded = jsontext.Decode(w.decoded[:0], said)
		text := trim(w.decoded)
		switch {
		case len(text) == 0, string(text) == "null":
			return saidNothing
		case text[0] == '{' && w.values < maxValues && w.isObject(text):
			return saidObject
		}
		return saidElse
	}
	check := jsontext.Checker{Limits: w.left()}
	m := w.longMeaning(&check, said)
	w.values += check.Values()
	return m
}

func (w *requestWork) longMeaning(check *jsontext.Checker, said []byte) meaning {
	first := byte(0) // that is no blank
	for len(said) > 0 {
		w.decoded, said = jsontext.DecodePart(w.decoded[:0], said, jsontext.LongString)
		if first == 0 {
			if text := trimLeft(w.decoded); len(text) > 0 {
				first = text[0]
			}
		}
		if first != 0 && first != '{' && first != 'n' || !check.Write(w.decoded) {
			return saidElse
		}
	}
	switch {
	case first == 0, first == 'n' && check.Valid():
		return saidNothing
	case first == '{' && check.Valid():
		return saidObject
	}
	return saidElse
}

// maxValues is how many values are looked at in all arguments of a request: what has more
// stays a text.
const maxValues = 256 << 10

// left are the limits of the next arguments.
func (w *requestWork) left() jsontext.Limits {
	return jsontext.Limits{Values: max(maxValues-w.values, 1), Number: jsontext.MaxNumber}
}

// isObject reports whether a short text, which begins as an object does, is one.
func (w *requestWork) isObject(text []byte) bool {
	limits := w.left()
	n, err := jsontext.Count(text, limits)
	if err != nil { // so many were looked at
		check := jsontext.Checker{Limits: limits}
		check.Write(text)
		n = check.Values()
	}
	w.values += n
	return err == nil
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
