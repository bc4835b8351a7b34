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
	if e := v.Get("error"); !jsontext.IsNull(e) {
		a.Err = readError(e)
		return a
	}
	choices := v.GetArray("choices")
	if choices == nil && v.Get("choices") == nil && string(v.GetStringBytes("object")) == "error" {
		a.Err = readError(v)
		return a
	}
	a.Usage = present(v.Get("usage"))
	if len(choices) == 0 {
		return a
	}
	a.HasChoice = true
	choice := choices[0]
	if finish := choice.Get("finish_reason"); !jsontext.IsNull(finish) {
		a.Finish = finishReason(finish)
	}
	if logprobs := choice.Get("logprobs"); !jsontext.IsNull(logprobs) {
		a.Logprobs = logprobs.GetArray("content")
	}
	m := choice.Get(message)
	if m == nil {
		return a
	}
	// vLLM renamed reasoning_content to reasoning; servers of both kinds exist.
	if a.Reasoning = present(m.Get("reasoning")); a.Reasoning == nil {
		a.Reasoning = present(m.Get("reasoning_content"))
	}
	a.Content = present(m.Get("content"))
	a.Refusal = present(m.Get("refusal"))
	a.ToolCalls = m.GetArray("tool_calls")
	return a
}

func present(v *fastjson.Value) *fastjson.Value {
	if jsontext.IsNull(v) {
		return nil
	}
	return v
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
