// Package chat is the wire form of Chat Completions as vLLM speaks it: what an
// answer, a chunk of a stream and an error body hold.
//
//	JSON that has been checked ─► Read, ReadChunk, ParseError ─► Answer, Error ─► shared/translate
//
// What a model server sends enters, as fastjson has read it; what leaves points
// into it and is valid as long as it is.
package chat

import (
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
	Unread    string // a member of the message that says something in a form that is not read; empty without one
	Err       *Error // an error in the place of an answer
}

// Read reads a whole answer.
func Read(v *fastjson.Value) Answer { return read(v, "message", "delta") }

// ReadChunk reads one chunk of a stream.
func ReadChunk(v *fastjson.Value) Answer { return read(v, "delta", "message") }

// read reads the message under its name, or under the other one where that is
// all there is.
func read(v *fastjson.Value, name, other string) (a Answer) {
	var choices, object, failure *fastjson.Value
	visit(v, func(key []byte, v *fastjson.Value) {
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
	if choices != nil && saysNothing(failure) {
		failure = nil
	}
	if failure == nil && choices == nil && object != nil && string(object.GetStringBytes()) == "error" {
		failure = v // the flat form of old vLLM
	}
	if failure != nil {
		return Answer{Err: readError(failure)}
	}
	if list := choices.GetArray(); len(list) > 0 {
		a.HasChoice = true
		a.readChoice(list[0], name, other)
	}
	return a
}

func (a *Answer) readChoice(v *fastjson.Value, name, other string) {
	var message, elsewhere, text *fastjson.Value
	visit(v, func(key []byte, v *fastjson.Value) {
		switch string(key) {
		case name:
			message = v
		case other:
			elsewhere = v
		case "text":
			text = v
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
	if message == nil {
		message = elsewhere
	}
	a.HasText = message != nil || text != nil
	a.readMessage(message)
	if message == nil {
		a.Content = text // as the Completions API has it
	}
}

func (a *Answer) readMessage(v *fastjson.Value) {
	var old *fastjson.Value
	visit(v, func(key []byte, v *fastjson.Value) {
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
			a.ToolCalls = v.GetArray()
		case "function_call":
			a.Function = v
		case "role":
		default:
			if a.Unread == "" && !saysNothing(v) {
				a.Unread = string(key)
			}
		}
	})
	if old != nil && (a.Reasoning == nil || isEmptyString(a.Reasoning)) {
		a.Reasoning = old
	}
	if len(a.ToolCalls) > 0 {
		a.Function = nil // the same once more
	}
}

// isEmptyString reports whether v is the empty string, without decoding it.
func isEmptyString(v *fastjson.Value) bool {
	var room [2]byte
	text := v.MarshalTo(room[:0])
	return string(text) == `""`
}

// saysNothing reports whether v is a value that stands for none: null, false,
// an empty string, list or object.
func saysNothing(v *fastjson.Value) bool {
	if jsontext.IsNull(v) {
		return true
	}
	switch v.Type() {
	case fastjson.TypeFalse, fastjson.TypeNull:
		return true
	case fastjson.TypeString:
		return len(v.GetStringBytes()) == 0
	case fastjson.TypeArray:
		return len(v.GetArray()) == 0
	case fastjson.TypeObject:
		return v.GetObject().Len() == 0
	default:
		return false
	}
}

// visit calls f for the members of v, which are none when it is not an object,
// that are not null.
func visit(v *fastjson.Value, f func(key []byte, v *fastjson.Value)) {
	if jsontext.IsNull(v) {
		return
	}
	v.GetObject().Visit(func(key []byte, v *fastjson.Value) {
		if !jsontext.IsNull(v) {
			f(key, v)
		}
	})
}

// finishReason reads a finish_reason. Some servers put an empty one into every
// chunk: it is none.
func finishReason(v *fastjson.Value) string {
	if v.Type() != fastjson.TypeString {
		return "unknown" // not a success
	}
	switch s := v.GetStringBytes(); string(s) {
	case "stop":
		return "stop"
	case "length":
		return "length"
	case "tool_calls":
		return "tool_calls"
	default:
		return string(s)
	}
}
