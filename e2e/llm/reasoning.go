package main

import (
	"fmt"
	"strings"
)

// The small model does not reason by itself: what vLLM's parser looks for is
// forced, the words between are the model's.
var thought = object{"regex": `Here is my thought process: [a-z]{3,8} [a-z]{3,8}\. Here is my response: The answer is [0-9]\.`}

const sum = "What is 2 plus 2?"

var reasoningCases = []testCase{
	{"reasoning", func(s *session) string {
		a := s.ask(object{"input": sum, "structured_outputs": thought, "max_output_tokens": 150})
		s.check(a.types() == "reasoning message", "items %s: %s", a.types(), a.body)
		return fmt.Sprintf("%q, %q", a.items()[0].Content[0].Text, a.text())
	}},
	{"reasoning-stream", func(s *session) string {
		a := s.ask(object{"input": sum, "structured_outputs": thought, "max_output_tokens": 150, "stream": true})
		s.check(a.types() == "reasoning message", "items %s", a.types())
		s.check(a.deltas("response.reasoning_text.delta") == a.items()[0].Content[0].Text, "deltas %q", a.deltas("response.reasoning_text.delta"))
		s.check(a.deltas("response.output_text.delta") == a.text(), "deltas %q", a.deltas("response.output_text.delta"))
		return fmt.Sprintf("%q, %q", a.items()[0].Content[0].Text, a.text())
	}},
	{"reasoning-cut", func(s *session) string {
		for _, stream := range []bool{false, true} {
			a := s.ask(object{"input": sum, "structured_outputs": thought, "max_output_tokens": 16, "stream": stream})
			s.check(a.response.Status == "incomplete", "status %s", a.response.Status)
			items := a.items()
			s.check(items[len(items)-1].Status == "incomplete", "items %+v", items)
		}
		return "incomplete while it thinks"
	}},
	{"reasoning-next-turn", func(s *session) string {
		first := s.ask(object{"input": sum, "structured_outputs": thought, "max_output_tokens": 150})
		input := []any{object{"role": "user", "content": sum}}
		for _, i := range first.response.Output {
			input = append(input, i)
		}
		input = append(input,
			object{"type": "function_call", "call_id": "call_1", "name": "check", "arguments": "{}"},
			object{"type": "function_call_output", "call_id": "call_1", "output": "The sum is 4."})
		a := s.ask(object{"input": append(input, object{"role": "user", "content": "So what is the sum? Repeat it."}), "max_output_tokens": 60})
		s.check(a.status == 200 && strings.HasSuffix(a.types(), "message"), "status %d: %s", a.status, a.body)
		s.check(a.response.Usage.Input > first.response.Usage.Input+10, "%d input tokens: the history is missing", a.response.Usage.Input)
		return a.text()
	}},
}
