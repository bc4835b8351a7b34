package mockllm

import (
	"strconv"
	"time"

	"antwort/shared/jsontext"
)

// A stream writes the chunks of one answer. Its chunks are built of parts
// that are made once; a chunk allocates nothing.
type stream struct {
	wire
	a    *answer
	head []byte // of every chunk, up to its choices
}

func (s *stream) setHead() {
	s.head = append(s.head[:0], `{"id":"chatcmpl-`...)
	s.head = append(s.head, hexID()...)
	s.head = append(s.head, `","object":"chat.completion.chunk","created":`...)
	s.head = strconv.AppendInt(s.head, time.Now().Unix(), 10)
	s.head = append(s.head, `,"model":`...)
	s.head = jsontext.AppendString(s.head, s.a.model)
	s.head = append(s.head, `,"choices":[`...)
}

// run is false when the stream ended early.
func (s *stream) run() bool {
	if s.st.firstDelay.or(s.opt.FirstDelay) > 0 && (!s.flush() || !s.pause(s.st.firstDelay.or(s.opt.FirstDelay))) {
		return false
	}
	a, gap := s.a, s.st.delay.or(s.opt.Delay)
	ok := s.each(func(i int) bool {
		return s.event(func(b []byte) []byte {
			return append(s.openChoice(b, i), `"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null,"prompt_text":null}`...)
		})
	})
	last := len(a.deltas)
	if last > 0 && (a.finish == "length" || a.stopReason != "" || a.deltas[last-1].token == "" && a.deltas[last-1].kind == contentDelta) {
		last-- // its text goes with the finish_reason
	}
	for n := 0; ok && n < last; n++ {
		d := &a.deltas[n]
		if n > 0 && gap > 0 && (!s.flush() || !s.pause(gap)) {
			return false
		}
		if d.text == "" && d.kind != callDelta && !a.logprobs {
			continue
		}
		ok = s.each(func(i int) bool { return s.delta(i, n, d) })
	}
	if !ok {
		return false
	}
	var rest *delta
	if last < len(a.deltas) {
		rest = &a.deltas[last]
	}
	if gap > 0 && (!s.flush() || !s.pause(gap)) {
		return false
	}
	return s.each(func(i int) bool { return s.finish(i, rest) }) && s.end()
}

func (s *stream) each(f func(choice int) bool) bool {
	for i := range s.a.choices {
		if !f(i) {
			return false
		}
	}
	return true
}

// delta sends one chunk without closures: it is the path of every token.
func (s *stream) delta(choice, n int, d *delta) bool {
	if !s.begin() {
		return false
	}
	b := s.openChoice(s.buf, choice)
	b = s.appendDelta(b, d)
	b = append(b, `},"logprobs":`...)
	b = s.appendLogprobs(b, d.token)
	b = append(b, `,"finish_reason":null,"token_ids":null}]`...)
	b = s.appendRunningUsage(b, n+1)
	s.buf = append(b, '}')
	return s.close()
}

func (s *stream) finish(choice int, rest *delta) bool {
	return s.event(func(b []byte) []byte {
		b = s.openChoice(b, choice)
		token := ""
		if s.a.eos {
			token = endToken
		}
		if rest != nil {
			if rest.text != "" || rest.kind == callDelta {
				b = s.appendDelta(b, rest)
			}
			if rest.token != "" {
				token = rest.token
			}
		}
		b = append(b, `},"logprobs":`...)
		b = s.appendLogprobs(b, token)
		b = append(b, `,"finish_reason":`...)
		b = jsontext.AppendString(b, s.a.finish)
		b = append(b, `,"stop_reason":`...)
		b = appendOrNull(b, s.a.stopReason)
		b = append(b, `,"token_ids":null}]`...)
		b = s.appendRunningUsage(b, s.a.completionTokens)
		if !s.a.usage {
			b = append(b, `,"system_fingerprint":"`+fingerprint+`"`...)
		}
		return append(b, '}')
	})
}

// end sends usage and [DONE].
func (s *stream) end() bool {
	if s.a.usage && !s.st.noUsage {
		ok := s.event(func(b []byte) []byte {
			b = append(append(b, s.head...), `],"usage":{`...)
			b = s.a.appendUsage(b)
			if s.a.parser {
				b = append(b, `,"completion_tokens_details":{"reasoning_tokens":`...)
				b = strconv.AppendInt(b, int64(s.a.reasoningTokens), 10)
				b = append(b, '}')
			}
			return append(b, `},"system_fingerprint":"`+fingerprint+`"}`...)
		})
		if !ok {
			return false
		}
	}
	if !s.st.noDone && !s.event(func(b []byte) []byte { return append(b, "[DONE]"...) }) {
		return false
	}
	return s.flush()
}

// openChoice appends the chunk up to the inside of its delta.
func (s *stream) openChoice(b []byte, choice int) []byte {
	b = append(b, s.head...)
	if choice == 0 {
		return append(b, `{"index":0,"delta":{`...)
	}
	b = strconv.AppendInt(append(b, `{"index":`...), int64(choice), 10)
	return append(b, `,"delta":{`...)
}

func (s *stream) appendDelta(b []byte, d *delta) []byte {
	switch d.kind {
	case contentDelta:
		b = jsontext.AppendString(append(b, `"content":`...), d.text)
		if s.a.parser {
			b = append(append(append(b, `,"`...), s.a.reasoningField...), `":null`...)
		}
		return b
	case reasoningDelta:
		b = append(append(append(b, `"content":null,"`...), s.a.reasoningField...), `":`...)
		return jsontext.AppendString(b, d.text)
	case refusalDelta:
		return jsontext.AppendString(append(b, `"content":null,"refusal":`...), d.text)
	case callDelta:
		call := s.a.calls[d.call]
		b = append(b, `"content":null,"tool_calls":[{`...)
		if call.id != "" {
			b = append(append(append(b, `"id":"`...), call.id...), `",`...)
		}
		b = strconv.AppendInt(append(b, `"type":"function","index":`...), int64(d.call), 10)
		b = jsontext.AppendString(append(b, `,"function":{"name":`...), call.name)
		return append(b, "}}]"...)
	default:
		b = strconv.AppendInt(append(b, `"content":null,"tool_calls":[{"index":`...), int64(d.call), 10)
		b = jsontext.AppendString(append(b, `,"function":{"arguments":`...), d.text)
		return append(b, "}}]"...)
	}
}

func (s *stream) appendLogprobs(b []byte, token string) []byte {
	if !s.a.logprobs || token == "" {
		return append(b, "null"...)
	}
	b = s.a.appendLogprob(append(b, `{"content":[`...), token)
	return append(b, "]}"...)
}

func (s *stream) appendRunningUsage(b []byte, completion int) []byte {
	if !s.a.continuousUsage {
		return b
	}
	b = strconv.AppendInt(append(b, `,"usage":{"prompt_tokens":`...), int64(s.a.promptTokens), 10)
	b = strconv.AppendInt(append(b, `,"total_tokens":`...), int64(s.a.promptTokens+completion), 10)
	b = strconv.AppendInt(append(b, `,"completion_tokens":`...), int64(completion), 10)
	return append(b, '}')
}
