// Package chat is the wire form of Chat Completions as vLLM speaks it: what an
// answer, a chunk of a stream and an error body hold.
//
//	JSON that has been checked ─► Read, ReadChunk, ParseError ─► Answer, Error ─► shared/translate
//
// What a model server sends enters, as fastjson has read it; what leaves points
// into it and is valid as long as it is.
package chat

import (
	"bytes"
	"slices"

	"antwort/shared/jsontext"

	"github.com/valyala/fastjson"
)

// An Answer is a whole answer or one chunk of a stream: its first choice, and
// what stands beside the choices. Absent and null members are nil. It lives as
// long as the parser's value, and its strings are not decoded.
type Answer struct {
	HasChoice bool
	HasText   bool // the choice has a message, a delta or a text, empty or not
	Reasoning *fastjson.Value
	Content   *fastjson.Value
	Refusal   *fastjson.Value
	ToolCalls []*fastjson.Value
	Function  *fastjson.Value   // function_call, the old form of a single call: {name, arguments}
	Logprobs  []*fastjson.Value // choices[0].logprobs.content
	Finish    string            // finish_reason; empty while there is none
	Usage     Usage
	Unread    string  // a member of the message, or its place, that says something in a form that is not read; empty without one
	Elsewhere Members // what of it stands in another place than its message
	Mixed     bool    // the thought stands beside a blank one
	Err       *Error  // an error in the place of an answer
}

// Members are some members of a message.
type Members uint8

// The members that are read. Calls are tool_calls or function_call.
const (
	Reasoning Members = 1 << iota
	Content
	Refusal
	Calls
)

// Read reads a whole answer into a, which is empty.
func (a *Answer) Read(v *fastjson.Value) { a.read(v, "message", "delta") }

// ReadChunk reads one chunk of a stream likewise.
func (a *Answer) ReadChunk(v *fastjson.Value) { a.read(v, "delta", "message") }

// read reads the message under its name, and what it does not say in the other
// places where servers put it.
func (a *Answer) read(v *fastjson.Value, name, other string) {
	var choices, object, failure *fastjson.Value
	visit(v, func(key []byte, v *fastjson.Value) {
		if jsontext.IsNull(v) {
			return
		}
		switch string(key) {
		case "choices":
			choices = v
		case "usage":
			a.Usage.read(v)
		case "error":
			failure = v
		case "object":
			object = v
		}
	})
	if failure != nil && isNoError(failure) {
		failure = nil
	}
	if failure == nil && choices == nil && isFlatError(v, object) {
		failure = v
	}
	if failure != nil {
		*a = Answer{Err: readError(failure)}
		return
	}
	if list := choices.GetArray(); len(list) > 0 {
		a.HasChoice = true
		a.readChoice(list[0], name, other)
	}
}

// isFlatError reports whether v is an error that stands by itself, as old vLLM has
// it ("object":"error"), and llama.cpp.
func isFlatError(v, object *fastjson.Value) bool {
	if object != nil {
		return string(jsontext.Start(object)) == "error"
	}
	message := v.Get("message")
	return jsontext.IsString(message) && !jsontext.IsEmpty(message) && (v.Get("code") != nil || v.Get("type") != nil)
}

func (a *Answer) readChoice(v *fastjson.Value, name, other string) {
	var message, elsewhere, text *fastjson.Value
	own := false // the choice itself has members of a message
	visit(v, func(key []byte, v *fastjson.Value) {
		if jsontext.IsNull(v) {
			return
		}
		switch string(key) {
		case "message":
			message = v
		case "delta":
			elsewhere = v
		case "text": // as the Completions API has it
			text = v
		case "content", "reasoning", "reasoning_content", "refusal", "tool_calls", "function_call":
			own = true
		case "finish_reason":
			a.Finish = finishReason(v)
		case "logprobs":
			a.Logprobs = v.GetArray("content")
		case "usage": // Moonshot's place for it in a stream
			if !a.Usage.Known {
				a.Usage.read(v)
			}
		}
	})
	if name == "delta" {
		message, elsewhere = elsewhere, message
	}
	a.readMessage(message, name)
	a.HasText = message != nil
	if elsewhere == nil && !own && text == nil {
		return
	}
	a.HasText = true
	if elsewhere != nil {
		a.add(elsewhere, other)
	}
	if own {
		unread := a.Unread
		a.add(v, "")
		a.Unread = unread // a choice has other members than a message
	}
	a.take(&a.Content, text, Content)
}

// add takes from another place what a does not say yet.
func (a *Answer) add(v *fastjson.Value, name string) {
	var b Answer
	b.readMessage(v, name)
	a.take(&a.Reasoning, b.Reasoning, Reasoning)
	a.take(&a.Content, b.Content, Content)
	a.take(&a.Refusal, b.Refusal, Refusal)
	if len(a.ToolCalls) == 0 && a.Function == nil && (len(b.ToolCalls) > 0 || b.Function != nil) {
		a.ToolCalls, a.Function = b.ToolCalls, b.Function
		a.Elsewhere |= Calls
	}
	if a.Unread == "" {
		a.Unread = b.Unread
	}
}

func (a *Answer) take(to **fastjson.Value, v *fastjson.Value, member Members) {
	if v != nil && (*to == nil || isNothing(*to)) {
		*to = v
		a.Elsewhere |= member
	}
}

// readMessage reads what stands under the name.
func (a *Answer) readMessage(v *fastjson.Value, name string) {
	o := v.GetObject()
	if o == nil {
		a.readOther(v, name)
		return
	}
	var old *fastjson.Value
	o.Visit(func(key []byte, v *fastjson.Value) {
		if jsontext.IsNull(v) {
			return
		}
		switch string(key) {
		case "content":
			a.Content = v
		case "reasoning":
			a.Reasoning = v
		case "reasoning_content": // what vLLM called it; servers of both kinds exist
			old = v
		case "refusal":
			a.Refusal = v
		case "tool_calls":
			if a.ToolCalls = v.GetArray(); a.ToolCalls == nil && !isNothing(v) {
				a.ToolCalls = []*fastjson.Value{v} // one call, without its list
			}
		case "function_call":
			if !allEmpty(v) {
				a.Function = v
			}
		case "role":
		default:
			if a.Unread == "" && !isNothing(v) {
				a.Unread = word(key)
			}
		}
	})
	if a.Reasoning == nil {
		a.Reasoning = old
	} else if old != nil && isBlank(a.Reasoning) {
		a.Reasoning, a.Mixed = old, true
	}
	if a.Function != nil {
		a.oneForm()
	}
}

// oneForm leaves of a call that is told in both forms the new one, if that says
// something.
func (a *Answer) oneForm() {
	for i := range a.ToolCalls {
		if !a.IsEmptyCall(i) {
			a.Function = nil
			return
		}
	}
	a.ToolCalls = nil
}

// readOther reads what stands in the place of a message and is no object.
func (a *Answer) readOther(v *fastjson.Value, name string) {
	if v == nil || isNothing(v) {
		return
	}
	if _, isText := jsontext.AppendRaw(nil, v); isText {
		a.Content = v
	} else {
		a.Unread = name
	}
}

// IsEmptyCall reports whether the entry of ToolCalls at i says nothing but an id:
// some servers send such ones beside a text.
func (a *Answer) IsEmptyCall(i int) bool {
	entry := a.ToolCalls[i]
	function := entry.Get("function")
	return isAbsent(function.Get("arguments")) && isAbsent(function.Get("name")) && allEmpty(function) && allEmpty(entry, "index", "id", "type", "function")
}

// allEmpty reports whether v is nothing, or an object of which all members are but
// those that are named.
func allEmpty(v *fastjson.Value, but ...string) bool {
	if v.GetObject() == nil {
		return isAbsent(v)
	}
	empty := true
	v.GetObject().Visit(func(key []byte, v *fastjson.Value) {
		empty = empty && (isNothing(v) || slices.Contains(but, string(key)))
	})
	return empty
}

func isAbsent(v *fastjson.Value) bool { return v == nil || isNothing(v) }

// blankBytes is how many bytes of a text are looked at, at once, for more than blanks.
const blankBytes = 4 << 10

// blanksBytes is the longest text that may be blank.
const blanksBytes = 64 << 10

// isBlank reports whether v is a string of blanks, or nothing.
func isBlank(v *fastjson.Value) bool {
	text, isText := jsontext.AppendRaw(make([]byte, 0, 16), v)
	switch {
	case !isText:
		return isNothing(v)
	case len(text) > 0 && text[0] != ' ' && text[0] != '\\':
		return false
	}
	if len(text) > blanksBytes {
		return false
	}
	for part := []byte(nil); len(text) > 0; { // nobody has checked it
		n := jsontext.Cut(text, blankBytes)
		part, _ = jsontext.AppendRepaired(part[:0], text[:n], n)
		if len(bytes.TrimSpace(jsontext.Decode(nil, part))) > 0 {
			return false
		}
		text = text[n:]
	}
	return true
}

// isNothing reports whether v stands for none: null, false, an empty string, list
// or object. A string is not decoded: it may be told.
func isNothing(v *fastjson.Value) bool {
	if jsontext.IsString(v) {
		return jsontext.IsEmpty(v)
	}
	switch v.Type() {
	case fastjson.TypeFalse, fastjson.TypeNull:
		return true
	case fastjson.TypeArray:
		return len(v.GetArray()) == 0
	case fastjson.TypeObject:
		return v.GetObject().Len() == 0
	default:
		return false
	}
}

// isNoError reports whether an error says nothing: nothing itself, 0, or an
// object of such members.
func isNoError(v *fastjson.Value) bool {
	if o := v.GetObject(); o != nil {
		empty := true
		o.Visit(func(_ []byte, v *fastjson.Value) { empty = empty && isNoError(v) })
		return empty
	}
	return isNothing(v) || !jsontext.IsString(v) && v.GetFloat64() == 0 && v.Type() == fastjson.TypeNumber
}

// visit calls f for the members of v, which are none when it is not an object. Absent
// and null say the same.
func visit(v *fastjson.Value, f func(key []byte, v *fastjson.Value)) {
	if !jsontext.IsNull(v) {
		v.GetObject().Visit(f)
	}
}

// finishReason reads a finish_reason. Some servers put an empty one into every
// chunk: it is none.
func finishReason(v *fastjson.Value) string {
	if !jsontext.IsString(v) {
		return "unknown" // not a success
	}
	switch s := jsontext.Start(v); string(s) {
	case "stop":
		return "stop"
	case "length":
		return "length"
	case "tool_calls":
		return "tool_calls"
	default:
		return word(s)
	}
}

// wordBytes is how much is kept, as long as the answer comes, of a word that only an error tells.
const wordBytes = 64

func word(s []byte) string { return string(bytes.ToValidUTF8(s[:min(len(s), wordBytes)], nil)) }
