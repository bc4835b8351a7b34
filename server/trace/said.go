package trace

import (
	"slices"
	"unicode/utf8"

	"antwort/shared/jsontext"
	"antwort/shared/policy"

	"github.com/valyala/fastjson"
	"go.opentelemetry.io/otel/attribute"
)

// said is what people and models write, in the conventions' form, as far as the
// configuration wants it.
type said struct {
	most          int // bytes of texts, of input and output each
	input, output string
}

// Input keeps what a request says: the newest of it, if not all is wanted.
func (s *Span) Input(body []byte) {
	if s == nil || s.said == nil {
		return
	}
	s.said.input = s.said.messages(body, "input", "user")
}

func (s *said) attributes(attrs []attribute.KeyValue) []attribute.KeyValue {
	if s == nil {
		return attrs
	}
	if s.input != "" {
		attrs = append(attrs, attribute.String("gen_ai.input.messages", s.input))
	}
	if s.output != "" {
		attrs = append(attrs, attribute.String("gen_ai.output.messages", s.output))
	}
	return attrs
}

// messages are those of a member of body; role is whose a text without a role is.
func (s *said) messages(body []byte, member, role string) string {
	var p fastjson.Parser
	v, err := p.ParseBytes(body)
	if err != nil {
		return ""
	}
	left := s.most
	if text := v.GetStringBytes(member); text != nil {
		return string(appendMessage(append([]byte(nil), '['), role, part{"text", "content", text}, &left)) + "]"
	}
	items := v.GetArray(member)
	var all [][]byte
	for _, item := range slices.Backward(items) {
		if left <= 0 {
			break
		}
		all = append(all, message(item, role, &left))
		left -= around
	}
	slices.Reverse(all)
	out := []byte{'['}
	for i, m := range all {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, m...)
	}
	return string(append(out, ']'))
}

// What counts beside texts: names and the like are cut, and what stands around a part or
// a message counts as if it were text.
const (
	around     = 32  // bytes
	longestTag = 64  // role, type
	longestID  = 256 // name, call's id
)

// part is a part of a message: its type, and a member with its text.
type part struct {
	kind, member string
	text         []byte
}

// message is an item of the Responses API as a message.
func message(item *fastjson.Value, role string, left *int) []byte {
	if r := item.GetStringBytes("role"); r != nil {
		role = policy.Clip(string(r), longestTag)
	}
	var parts []part
	switch kind := string(item.GetStringBytes("type")); kind {
	case "", "message":
		if text := item.GetStringBytes("content"); text != nil {
			parts = append(parts, part{"text", "content", text})
		}
		for _, p := range item.GetArray("content") {
			switch kind := string(p.GetStringBytes("type")); kind {
			case "input_text", "output_text":
				parts = append(parts, part{"text", "content", p.GetStringBytes("text")})
			default: // a picture, a file
				parts = append(parts, part{kind, "", nil})
			}
		}
	case "function_call", "custom_tool_call":
		given := item.GetStringBytes("arguments")
		if given == nil {
			given = item.GetStringBytes("input")
		}
		return appendMessage(nil, "assistant", part{"tool_call", "arguments", given}, left, [2]string{"id", string(item.GetStringBytes("call_id"))}, [2]string{"name", string(item.GetStringBytes("name"))})
	case "function_call_output", "custom_tool_call_output":
		return appendMessage(nil, "tool", part{"tool_call_response", "response", item.GetStringBytes("output")}, left, [2]string{"id", string(item.GetStringBytes("call_id"))})
	case "reasoning":
		role = "assistant"
		for _, list := range [...]string{"content", "summary"} {
			for _, p := range item.GetArray(list) {
				parts = append(parts, part{"reasoning", "content", p.GetStringBytes("text")})
			}
		}
	default:
		parts = append(parts, part{kind, "", nil})
	}
	out := append(jsontext.AppendString(append([]byte(nil), `{"role":`...), role), `,"parts":[`...)
	for i, p := range parts {
		if i > 0 && *left <= 0 {
			break
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = p.append(out, left)
	}
	return append(out, "]}"...)
}

func appendMessage(dst []byte, role string, p part, left *int, more ...[2]string) []byte {
	dst = append(jsontext.AppendString(append(dst, `{"role":`...), role), `,"parts":[`...)
	return append(p.append(dst, left, more...), "]}"...)
}

// append appends the part, with as much of its text as is left.
func (p part) append(dst []byte, left *int, more ...[2]string) []byte {
	kind := policy.Clip(p.kind, longestTag)
	dst = jsontext.AppendString(append(dst, `{"type":`...), kind)
	for _, m := range more {
		dst = append(jsontext.AppendString(append(dst, ','), m[0]), ':')
		dst = jsontext.AppendString(dst, policy.Clip(m[1], longestID))
	}
	if p.member != "" {
		dst = append(jsontext.AppendString(append(dst, ','), p.member), ':')
		dst = jsontext.AppendString(dst, clip(p.text, left))
	}
	*left -= around + len(kind) + longestID*len(more)
	return append(dst, '}')
}

// clip is as much of a text as is left, in whole characters.
func clip(text []byte, left *int) string {
	if n := max(0, *left); len(text) > n {
		for n > 0 && !utf8.RuneStart(text[n]) {
			n--
		}
		*left = 0
		return string(text[:n]) + "…"
	}
	*left -= len(text)
	return string(text)
}
