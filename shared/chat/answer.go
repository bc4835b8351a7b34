// Package chat is the wire form of Chat Completions as vLLM speaks it: what an
// answer, a chunk of a stream and an error body hold.
package chat

import (
	"antwort/shared/jsontext"
)

// An Answer is a whole answer or one chunk of a stream: its first choice, and
// what stands beside the choices. Null members are absent. It lives as long as
// the document.
type Answer struct {
	HasChoice bool
	Reasoning jsontext.Value
	Content   jsontext.Value
	Refusal   jsontext.Value
	ToolCalls jsontext.Value // an array
	Logprobs  jsontext.Value // choices[0].logprobs.content, an array
	Finish    string         // finish_reason; empty while there is none
	Usage     jsontext.Value
	Err       *Error // an error in the place of an answer
}

// Read reads a whole answer.
func Read(v jsontext.Value) Answer { return read(v, "message") }

// ReadChunk reads one chunk of a stream.
func ReadChunk(v jsontext.Value) Answer { return read(v, "delta") }

func read(v jsontext.Value, message string) (a Answer) {
	var choices, object, failure jsontext.Value
	for m := members(v); m.Exists(); m = m.Next() {
		if m.IsNull() {
			continue
		}
		switch string(m.Key()) {
		case "choices":
			choices = m
		case "usage":
			a.Usage = m
		case "error":
			failure = m
		case "object":
			object = m
		}
	}
	if !failure.Exists() && !choices.Exists() && string(object.Text()) == "error" {
		failure = v // the flat form of old vLLM
	}
	if failure.Exists() {
		return Answer{Err: readError(failure)}
	}
	choice := choices.As(jsontext.Array).First()
	if !choice.Exists() {
		return a
	}
	a.HasChoice = true
	for m := members(choice); m.Exists(); m = m.Next() {
		if m.IsNull() {
			continue
		}
		switch string(m.Key()) {
		case message:
			a.readMessage(m)
		case "finish_reason":
			a.Finish = finishReason(m)
		case "logprobs":
			a.Logprobs = m.Get("content").As(jsontext.Array)
		}
	}
	return a
}

func (a *Answer) readMessage(v jsontext.Value) {
	var old jsontext.Value
	for m := members(v); m.Exists(); m = m.Next() {
		if m.IsNull() {
			continue
		}
		switch string(m.Key()) {
		case "content":
			a.Content = m
		case "reasoning":
			a.Reasoning = m
		case "reasoning_content": // what vLLM called it; servers of both kinds exist
			old = m
		case "refusal":
			a.Refusal = m
		case "tool_calls":
			a.ToolCalls = m.As(jsontext.Array)
		}
	}
	if !a.Reasoning.Exists() {
		a.Reasoning = old
	}
}

// members is the first member of v; there is none when it is not an object.
func members(v jsontext.Value) jsontext.Value { return v.As(jsontext.Object).First() }

func finishReason(v jsontext.Value) string {
	switch s := v.Text(); string(s) {
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
