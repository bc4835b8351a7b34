package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

const (
	capital = "What is the capital of France? Answer in one sentence."
	count   = "Count from 1 to 5."
)

// quickstart is the quickstart's request, byte for byte but for white space.
func quickstart(text string, stream bool) []byte {
	streaming := ""
	if stream {
		streaming = `"stream": true,`
	}
	return fmt.Appendf(nil, `{"model": "/mnt/models", %s "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": %q}]}]}`, streaming, text)
}

var textCases = []testCase{
	{"quickstart", func(s *session) string {
		a := s.send(s.url, quickstart(capital, false))
		s.check(a.status == 200 && a.response.Status == "completed", "status %d, %s: %s", a.status, a.response.Status, a.body)
		s.check(a.text() != "", "no text: %s", a.body)
		return a.text()
	}},
	{"quickstart-stream", func(s *session) string {
		a := s.send(s.url, quickstart(count, true))
		s.check(a.response.Status == "completed", "status %s", a.response.Status)
		s.check(a.text() != "" && a.text() == a.deltas("response.output_text.delta"), "deltas differ from %q", a.text())
		return a.text()
	}},
	{"quickstart-backend", func(s *session) string {
		a := s.send(s.backend, quickstart(capital, false))
		s.check(a.response.Status == "completed", "status %s", a.response.Status)
		return a.text()
	}},
	{"capital", func(s *session) string {
		whole := s.ask(object{"input": capital})
		s.check(whole.text() == "The capital of France is Paris.", "text %q", whole.text())
		backend := s.askAt(s.backend, object{"input": capital})
		s.check(backend.text() == whole.text(), "the backend alone says %q", backend.text())
		streamed := s.ask(object{"input": capital, "stream": true})
		s.check(streamed.text() == whole.text(), "streamed %q", streamed.text())
		s.check(streamed.response.Usage != nil && *streamed.response.Usage == *whole.response.Usage, "usage differs: %v, streamed %v", whole.response.Usage, streamed.response.Usage)
		return whole.text() + " (three times)"
	}},
	{"input-tokens", func(s *session) string {
		tool := object{"type": "function", "name": "look_up", "description": "Looks a word up", "parameters": object{"type": "object", "properties": object{"word": object{"type": "string"}}}}
		var seen []string
		for _, request := range []object{
			{"input": capital},
			{"instructions": "You are a pirate.", "input": []any{object{"role": "developer", "content": "Answer in one word."}, object{"role": "user", "content": "Hi"}}},
			{"input": "Look up: Brot.", "tools": []any{tool}, "tool_choice": "none"},
			{"input": []any{object{"role": "user", "content": "Look up: Brot."}, object{"type": "function_call", "call_id": "call_1", "name": "look_up", "arguments": `{"word":"Brot"}`},
				object{"type": "function_call_output", "call_id": "call_1", "output": "bread"}}, "tools": []any{tool}},
			{"input": capital, "reasoning": object{"effort": "low"}},
			{"input": capital, "chat_template_kwargs": object{"thinking": true}},
		} {
			request["max_output_tokens"] = 16
			used := s.ask(request).response.Usage.Input
			body, err := json.Marshal(request)
			if err != nil {
				panic(err)
			}
			body = s.post(s.url+"/v1/responses/input_tokens", body).body
			want := fmt.Sprintf(`{"object":"response.input_tokens","input_tokens":%d}`, used)
			s.check(string(body) == want, "counted %s, used %d: %v", body, used, request)
			seen = append(seen, fmt.Sprint(used))
		}
		return strings.Join(seen, ", ") + " counted as used"
	}},
	{"instructions", func(s *session) string {
		plain := s.ask(object{"input": "Hi"})
		told := s.ask(object{"instructions": "You are a pirate.", "input": []any{
			object{"role": "developer", "content": "Answer in one word."}, object{"role": "user", "content": "Hi"}}})
		s.check(told.status == 200, "status %d: %s", told.status, told.body)
		s.check(told.text() != plain.text(), "instructions change nothing: %q", told.text())
		return told.text()
	}},
	{"length", func(s *session) string {
		for _, stream := range []bool{false, true} {
			a := s.ask(object{"input": "Tell me a long story.", "max_output_tokens": 20, "stream": stream})
			s.check(a.response.Status == "incomplete" && a.response.Incomplete.Reason == "max_output_tokens", "%s %v", a.response.Status, a.response.Incomplete)
			s.check(a.response.Usage.Output == 20, "%d output tokens", a.response.Usage.Output)
			s.check(a.items()[0].Status == "incomplete", "item %s", a.items()[0].Status)
		}
		return "incomplete, max_output_tokens"
	}},
	{"long-stream", func(s *session) string {
		a := s.ask(object{"input": "Tell me a long story about a ship.", "max_output_tokens": 300, "stream": true})
		n := 0
		for _, e := range a.events {
			if e.Type == "response.output_text.delta" {
				n++
			}
		}
		s.check(n > 50, "%d deltas", n)
		return fmt.Sprintf("%d deltas, %s", n, a.response.Status)
	}},
	{"logprobs", func(s *session) string {
		seen := ""
		for _, stream := range []bool{false, true} {
			a := s.ask(object{"input": capital, "include": []string{"message.output_text.logprobs"}, "top_logprobs": 3, "stream": stream})
			list := a.items()[0].Content[0].Logprobs
			var tokens []string
			for _, l := range list {
				tokens = append(tokens, l.Token)
				s.check(len(l.Top) == 3, "%d top_logprobs", len(l.Top))
			}
			seen = fmt.Sprintf("%q", tokens)
			s.check(strings.HasPrefix(strings.Join(tokens, ""), "The capital of France"), "tokens %s", seen)
		}
		return seen
	}},
	{"conversation", func(s *session) string {
		input := []any{object{"role": "user", "content": "My name is Bob. Remember it."}}
		first := s.ask(object{"input": input, "max_output_tokens": 40})
		for _, i := range first.response.Output {
			input = append(input, i)
		}
		a := s.ask(object{"input": append(input, object{"role": "user", "content": "What is my name?"}), "max_output_tokens": 40})
		s.check(a.response.Usage.Input > first.response.Usage.Input+first.response.Usage.Output, "%d input tokens: the history is missing", a.response.Usage.Input)
		s.check(strings.Contains(a.text(), "Bob"), "text %q", a.text())
		return a.text()
	}},
	{"continued", func(s *session) string {
		first := s.ask(object{"input": "My name is Bob. Say hello to me.", "max_output_tokens": 40})
		input := []any{object{"role": "user", "content": "My name is Bob. Say hello to me."}}
		for _, i := range first.response.Output {
			input = append(input, i)
		}
		const question = "What is my name?"
		whole := s.ask(object{"input": append(input, object{"role": "user", "content": question}), "max_output_tokens": 40})
		chained := s.ask(object{"previous_response_id": first.response.ID, "input": question, "max_output_tokens": 40})
		s.check(chained.response.Usage.Input == whole.response.Usage.Input, "%d input tokens, with the history sent along %d", chained.response.Usage.Input, whole.response.Usage.Input)
		s.check(chained.text() == whole.text(), "%q, with the history sent along %q", chained.text(), whole.text())
		return chained.text()
	}},
	{"vllm-parameters", func(s *session) string {
		a := s.ask(object{"input": "Paris is in", "structured_outputs": object{"choice": []string{"Germany", "France"}}})
		s.check(a.text() == "Germany" || a.text() == "France", "text %q", a.text())
		invent := object{"input": "Invent a word.", "temperature": 1, "seed": 7, "max_output_tokens": 20}
		one, two := s.ask(invent), s.ask(invent)
		s.check(one.text() == two.text(), "one seed, two texts: %q, %q", one.text(), two.text())
		return a.text() + "; one seed, one text"
	}},
}

// valid tells whether arguments are a JSON object with these members.
func valid(arguments string, members ...string) bool {
	var o object
	if json.Unmarshal([]byte(arguments), &o) != nil {
		return false
	}
	for _, m := range members {
		if _, ok := o[m]; !ok {
			return false
		}
	}
	return true
}
