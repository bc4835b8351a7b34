package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

func schema(properties object) object {
	var required []string
	for name := range properties {
		required = append(required, name)
	}
	return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

var (
	weather = object{"type": "function", "name": "get_weather", "description": "Get the weather for a city", "strict": true,
		"parameters": schema(object{"city": object{"type": "string", "maxLength": 20}, "unit": object{"type": "string", "enum": []string{"c", "f"}}})}
	clock = object{"type": "function", "name": "get_time", "description": "Get the local time of a city", "strict": true,
		"parameters": schema(object{"city": object{"type": "string", "maxLength": 20}})}
	patch = object{"type": "custom", "name": "apply_patch", "description": "Edit a file"}
)

const ask = "What is the weather in Paris in celsius?"

var toolCases = []testCase{
	{"tool-required", func(s *session) string {
		seen := ""
		for _, stream := range []bool{false, true} {
			a := s.ask(object{"input": ask, "tools": []any{weather, clock}, "tool_choice": "required", "stream": stream, "max_output_tokens": 200})
			s.check(strings.HasPrefix(a.types(), "function_call"), "items %s", a.types())
			for i, call := range a.items() {
				s.check(json.Valid([]byte(call.Arguments)), "arguments %s", call.Arguments)
				s.check(call.CallID != "" && call.Status == "completed", "call %+v", call)
				if i == 0 {
					seen = call.Name + call.Arguments
				}
			}
			if stream {
				s.check(strings.HasPrefix(a.deltas("response.function_call_arguments.delta"), a.items()[0].Arguments), "deltas %s", a.deltas("response.function_call_arguments.delta"))
			}
		}
		return seen
	}},
	{"tool-named", func(s *session) string {
		a := s.ask(object{"input": ask, "tools": []any{weather, clock}, "tool_choice": object{"type": "function", "name": "get_time"}, "max_output_tokens": 100})
		s.check(a.types() == "function_call" && a.items()[0].Name == "get_time", "items %s", a.body)
		s.check(a.response.Status == "completed", "status %s", a.response.Status) // vLLM's finish_reason is "stop" here
		return a.items()[0].Name + a.items()[0].Arguments
	}},
	{"tool-result", func(s *session) string {
		call := s.ask(object{"input": ask, "tools": []any{weather}, "tool_choice": "required", "max_output_tokens": 200})
		input := []any{object{"role": "user", "content": ask}}
		for _, i := range call.response.Output {
			input = append(input, i)
		}
		for _, i := range call.items() {
			input = append(input, object{"type": "function_call_output", "call_id": i.CallID, "output": `{"temperature_c": 21, "sky": "sunny"}`})
		}
		a := s.ask(object{"input": input, "tools": []any{weather}, "tool_choice": "none", "max_output_tokens": 60})
		s.check(a.status == 200 && a.types() == "message", "status %d: %s", a.status, a.body)
		return a.text()
	}},
	{"tool-forced-text", func(s *session) string {
		// The hermes parser's own format, forced: the small model does not choose to call by itself.
		forced := object{"regex": `I check\. <tool_call>\n\{"name": "get_weather", "arguments": \{"city": "Paris", "unit": "c"\}\}\n</tool_call>\n<tool_call>\n\{"name": "get_time", "arguments": \{"city": "Rome"\}\}\n</tool_call>`}
		for _, stream := range []bool{false, true} {
			a := s.ask(object{"input": ask, "tools": []any{weather, clock}, "structured_outputs": forced, "stream": stream, "max_output_tokens": 200})
			s.check(a.types() == "message function_call function_call", "items %s: %s", a.types(), a.body)
			s.check(strings.TrimSpace(a.text()) == "I check.", "text %q", a.text())
			calls := a.items()[1:]
			s.check(valid(calls[0].Arguments, "city", "unit") && valid(calls[1].Arguments, "city"), "calls %+v", calls)
			s.check(calls[0].CallID != calls[1].CallID, "call ids %s", calls[0].CallID)
		}
		return "text and two calls, whole and streamed"
	}},
	{"custom-tool", func(s *session) string {
		a := s.ask(object{"input": "Add a line to a.txt.", "tools": []any{patch}, "tool_choice": object{"type": "custom", "name": "apply_patch"},
			"max_output_tokens": 60, "stream": true})
		s.check(a.types() == "custom_tool_call" && a.items()[0].Name == "apply_patch", "items %s: %s", a.types(), a.body)
		s.check(a.deltas("response.custom_tool_call_input.delta") == a.items()[0].Input, "input %q", a.items()[0].Input)
		return fmt.Sprintf("%s, input %.60q", a.response.Status, a.items()[0].Input)
	}},
}

var person = schema(object{"name": object{"type": "string", "maxLength": 20}, "age": object{"type": "integer", "minimum": 0, "maximum": 120}})

var formatCases = []testCase{
	{"json-schema", func(s *session) string {
		seen := ""
		for _, stream := range []bool{false, true} {
			a := s.ask(object{"input": "Bob is 42 years old. Extract the person.", "stream": stream, "max_output_tokens": 100,
				"text": object{"format": object{"type": "json_schema", "name": "person", "strict": true, "schema": person}}})
			seen = a.text()
			s.check(valid(seen, "name", "age"), "text %q", seen)
		}
		return seen
	}},
	{"json-object", func(s *session) string {
		a := s.ask(object{"input": "Give me JSON with a name and an age.", "text": object{"format": object{"type": "json_object"}}, "max_output_tokens": 200})
		s.check(valid(a.text()) || a.response.Status == "incomplete", "%s %q", a.response.Status, a.text())
		return fmt.Sprintf("%s, %.60q", a.response.Status, a.text())
	}},
}
