package mockllm

import (
	"strings"

	"github.com/valyala/fastjson"

	"antwort/shared/jsontext"
)

const (
	thoughtMark  = "Here is my thought process:"
	responseMark = "Here is my response:"
	callMark     = "<tool_call>"
	callEnd      = "</tool_call>"
)

// parseGenerated takes a text that structured_outputs forced apart as vLLM's
// granite reasoning parser and hermes tool parser do.
func (d *draft) parseGenerated(text string, reasoning, tools bool) {
	if rest, ok := strings.CutPrefix(text, thoughtMark); ok && reasoning {
		if thought, answer, ok := strings.Cut(rest, responseMark); ok {
			d.reasoning, d.framed, text = thought, true, answer
		}
	}
	if !tools {
		d.text = text
		return
	}
	d.text, text, _ = strings.Cut(text, callMark)
	for text != "" {
		var body string
		body, text, _ = strings.Cut(text, callEnd)
		_, text, _ = strings.Cut(text, callMark)
		call, err := fastjson.Parse(strings.TrimSpace(body))
		if err != nil {
			d.text += callMark + body
			continue
		}
		args := strings.TrimSpace(body)
		if _, rest, ok := strings.Cut(args, `"arguments": `); ok {
			args = strings.TrimSuffix(rest, "}")
		} else {
			args = string(jsontext.AppendValue(nil, orNull(call.Get("arguments"))))
		}
		d.calls = append(d.calls, toolCall{"chatcmpl-tool-" + hexID(), string(call.GetStringBytes("name")), args})
	}
	if d.calls != nil && strings.TrimSpace(d.text) == "" {
		d.text = ""
	}
}

// cut turns a draft into deltas, token by token, until the limit (0: none) or
// a stop string ends it.
func (a *answer) cut(d draft, limit int, r *request) {
	left := limit
	if limit == 0 {
		left = int(^uint(0) >> 1)
	}
	take := func() bool {
		if left == 0 {
			return false
		}
		left--
		a.completionTokens++
		return true
	}
	done := a.cutReasoning(d, take)
	if done {
		done = a.cutText(d.text, r, take)
	}
	if done && a.stopReason == "" {
		done = a.cutRefusal(d.refusal, take) && a.cutCalls(d, take)
	}
	a.nullText = len(a.calls) > 0 && a.text == "" && !d.forced || a.refusal != "" && a.text == ""
	switch {
	case done && a.stopReason != "":
		a.finish = "stop"
	case !done || !take(): // the end token needs its place too
		a.finish = "length"
	case len(a.calls) > 0 && !d.named:
		a.finish, a.eos = "tool_calls", true
	default:
		a.finish, a.eos = "stop", true
	}
}

// cutReasoning emits the thought. One that the limit cuts within granite's
// marks is plain text in a whole answer and nothing in a stream.
func (a *answer) cutReasoning(d draft, take func() bool) bool {
	raw, from, to := d.reasoning, 0, len(d.reasoning)
	if d.framed {
		raw, from, to = thoughtMark+d.reasoning+responseMark, len(thoughtMark), len(thoughtMark)+to
	}
	for n := 0; n < len(raw); {
		if !take() {
			if d.framed {
				a.text, a.reasoning, a.deltas = raw[:n], "", nil
			}
			return false
		}
		token := raw[n : n+nextToken(raw[n:])]
		n += len(token)
		if n <= from || n > to {
			continue
		}
		a.reasoning = raw[from:n]
		a.reasoningTokens++
		a.deltas = append(a.deltas, delta{kind: reasoningDelta, text: token, token: token})
	}
	return true
}

func (a *answer) cutRefusal(s string, take func() bool) bool {
	for n := 0; n < len(s); {
		if !take() {
			return false
		}
		token := s[n : n+nextToken(s[n:])]
		n += len(token)
		a.refusal = s[:n]
		a.deltas = append(a.deltas, delta{kind: refusalDelta, text: token, token: token})
	}
	return true
}

// cutText emits text with the delay that vLLM has while it watches for stop
// strings: the longest of them, less one character, is held back.
func (a *answer) cutText(text string, r *request, take func() bool) bool {
	stops := stopStrings(r)
	hold := 0
	for _, s := range stops {
		hold = max(hold, len(s)-1)
	}
	sent, n := 0, 0
	for n < len(text) {
		if !take() {
			a.text = text[:n]
			a.release(text[sent:n])
			return false
		}
		token := text[n : n+nextToken(text[n:])]
		n += len(token)
		from := max(0, n-len(token)-hold)
		if at, stop := firstStop(text[from:n], stops); stop != "" {
			at += from
			if r.bool("include_stop_str_in_output") {
				at += len(stop)
			}
			a.text, a.stopReason = text[:at], stop
			a.deltas = append(a.deltas, delta{text: text[min(sent, at):at], token: token})
			return true
		}
		upTo := max(sent, n-hold)
		for upTo > sent && !isRuneStart(text, upTo) {
			upTo--
		}
		a.deltas = append(a.deltas, delta{text: text[sent:upTo], token: token})
		sent = upTo
	}
	a.text = text
	a.release(text[sent:])
	return true
}

// release adds text that was held back to the last delta.
func (a *answer) release(rest string) {
	if rest != "" {
		a.deltas = append(a.deltas, delta{text: rest})
	}
}

func isRuneStart(s string, i int) bool { return i >= len(s) || s[i]&0xc0 != 0x80 }

func firstStop(text string, stops []string) (at int, stop string) {
	at = len(text)
	for _, s := range stops {
		if i := strings.Index(text, s); s != "" && i >= 0 && i < at {
			at, stop = i, s
		}
	}
	return at, stop
}

// cutCalls emits the calls. One that the limit cuts is text in a whole answer
// and an unfinished call in a stream, or nothing when its name was cut too.
func (a *answer) cutCalls(d draft, take func() bool) bool {
	for i, call := range d.calls {
		head := callMark + "\n{\"name\": \"" + call.name + "\", \"arguments\": "
		for s := head; s != ""; s = s[nextToken(s):] {
			if !take() {
				a.text += head[:len(head)-len(s)]
				return false
			}
		}
		a.deltas = append(a.deltas, delta{kind: callDelta, call: i})
		a.calls = append(a.calls, toolCall{call.id, call.name, ""})
		for n := 0; n < len(call.arguments); {
			if !take() {
				a.cutCall(head)
				return false
			}
			token := call.arguments[n : n+nextToken(call.arguments[n:])]
			n += len(token)
			a.calls[i].arguments = call.arguments[:n]
			a.deltas = append(a.deltas, delta{kind: argumentsDelta, call: i, text: token, token: token})
		}
	}
	return true
}

func (a *answer) cutCall(head string) {
	if a.stream {
		return // the deltas stand
	}
	last := len(a.calls) - 1
	a.text += head + a.calls[last].arguments
	a.calls = a.calls[:last]
}

// interleave lets the calls of the stream take turns, delta by delta.
func (a *answer) interleave() {
	perCall := make([][]delta, len(a.calls))
	var mixed []delta
	for _, d := range a.deltas {
		if d.kind == callDelta || d.kind == argumentsDelta {
			perCall[d.call] = append(perCall[d.call], d)
		} else {
			mixed = append(mixed, d)
		}
	}
	for round := 0; len(mixed) < len(a.deltas); round++ {
		for _, deltas := range perCall {
			if round < len(deltas) {
				mixed = append(mixed, deltas[round])
			}
		}
	}
	a.deltas = mixed
}
