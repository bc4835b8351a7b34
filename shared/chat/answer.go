// Package chat is the wire form of Chat Completions as vLLM speaks it: what an
// answer, a chunk of a stream and an error body hold.
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
	Reasoning *fastjson.Value
	Content   *fastjson.Value
	Refusal   *fastjson.Value
	ToolCalls []*fastjson.Value
	Logprobs  []*fastjson.Value // choices[0].logprobs.content
	Finish    string            // finish_reason; empty while there is none
	Usage     *fastjson.Value
	Err       *Error // an error in the place of an answer
}

// Read reads a whole answer.
func Read(v *fastjson.Value) Answer { return read(v, "message") }

// ReadChunk reads one chunk of a stream.
func ReadChunk(v *fastjson.Value) Answer { return read(v, "delta") }

func read(v *fastjson.Value, message string) (a Answer) {
	var choices, object, failure *fastjson.Value
	visit(v, func(key []byte, v *fastjson.Value) {
		switch string(key) {
		case "choices":
			choices = v
		case "usage":
			a.Usage = v
		case "error":
			failure = v
		case "object":
			object = v
		}
	})
	if failure == nil && choices == nil && object != nil && string(object.GetStringBytes()) == "error" {
		failure = v // the flat form of old vLLM
	}
	if failure != nil {
		return Answer{Err: readError(failure)}
	}
	list := choices.GetArray()
	if len(list) == 0 {
		return a
	}
	a.HasChoice = true
	visit(list[0], func(key []byte, v *fastjson.Value) {
		switch string(key) {
		case message:
			a.readMessage(v)
		case "finish_reason":
			a.Finish = finishReason(v)
		case "logprobs":
			a.Logprobs = v.GetArray("content")
		}
	})
	return a
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
		}
	})
	if a.Reasoning == nil {
		a.Reasoning = old
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

func finishReason(v *fastjson.Value) string {
	switch s := v.GetStringBytes(); string(s) {
	case "stop":
		return "stop"
	case "length":
		return "length"
	case "tool_calls":
		return "tool_calls"
	case "":
		return "unknown" // not a string, or an empty one: not a success
	default:
		return string(s)
	}
}
