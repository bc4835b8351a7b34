package trace

import (
	"bytes"
	"slices"

	"antwort/shared/jsontext"

	"go.opentelemetry.io/otel/attribute"
)

// answer is what the resource of an answer says.
type answer struct {
	id, model, finish string
}

// Captures reports whether the span has what is said. Then Answered needs all items in
// the resource.
func (s *Span) Captures() bool { return s.Sampled() && s.said != nil }

// Answered reads a response as its client gets it, and pieces of the items that the
// resource lacks. Their bytes are not kept.
func (s *Span) Answered(resource []byte, apart ...[]byte) {
	if !s.Sampled() || len(resource) == 0 {
		return
	}
	var status, reason, output []byte
	a := &s.answer
	jsontext.Members(resource, func(name, value []byte, _ int) bool {
		switch string(name) {
		case "id":
			a.id = plain(value)
		case "model":
			a.model = plain(value)
		case "status":
			status = value
		case "incomplete_details":
			reason, _ = jsontext.LastMember(value, "reason")
		case "output":
			output = value
		}
		return true
	})
	switch string(status) {
	case `"completed"`:
		a.finish = "stop"
		if hasCall(output) || slices.ContainsFunc(apart, hasCall) {
			a.finish = "tool_calls"
		}
	case `"incomplete"`:
		if a.finish = plain(reason); a.finish == "max_output_tokens" {
			a.finish = "length"
		}
	case `"failed"`:
		a.finish = "error"
	}
	if s.said != nil {
		s.said.output = s.said.messages(resource, "output", "assistant")
	}
}

// hasCall reports whether there is a tool call among items. In a text its quotes would
// be escaped.
func hasCall(items []byte) bool {
	return bytes.Contains(items, []byte(`"type":"function_call"`)) || bytes.Contains(items, []byte(`"type":"custom_tool_call"`))
}

// plain is a JSON string as text, bounded; "" of another value.
func plain(value []byte) string {
	inside, ok := jsontext.Text(value)
	if !ok || len(inside) > 256 {
		return ""
	}
	return string(jsontext.Decode(nil, inside))
}

func (a *answer) attributes(attrs []attribute.KeyValue) []attribute.KeyValue {
	if a.id != "" {
		attrs = append(attrs, attribute.String("gen_ai.response.id", a.id))
	}
	if a.model != "" {
		attrs = append(attrs, attribute.String("gen_ai.response.model", a.model))
	}
	if a.finish != "" {
		attrs = append(attrs, attribute.StringSlice("gen_ai.response.finish_reasons", []string{a.finish}))
	}
	return attrs
}
