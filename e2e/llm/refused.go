package main

import (
	"fmt"
	"strings"
)

// refused sends a request that must be refused, whole and streamed. Any code
// will do where it is "".
func refused(name string, body object, status int, code, param string) testCase {
	return testCase{name, func(s *session) string {
		seen := ""
		for _, stream := range []bool{false, true} {
			body["stream"] = stream
			a := s.ask(body)
			if a.response.Error == nil {
				s.check(false, "no error: %d %s", a.status, a.body)
				continue
			}
			e := a.response.Error
			s.check(a.status == status, "status %d: %s", a.status, a.body)
			s.check(code == "" || a.code() == code, "code %q: %s", a.code(), a.body)
			s.check(a.param() == param, "param %q: %s", a.param(), a.body)
			s.check(e.Message != "" && e.Type != "", "%s", a.body)
			s.check(!strings.Contains(e.Message, s.model) && !strings.Contains(e.Message, "127.0.0.1") && !strings.Contains(e.Message, ".py"), "leaks: %s", e.Message)
			seen = fmt.Sprintf("%d %s %s %s: %s", a.status, e.Type, or(a.code(), "null"), or(a.param(), "null"), e.Message)
		}
		return seen
	}}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

var errorCases = []testCase{
	refused("error-context", object{"input": strings.Repeat("word ", 6000)}, 400, "context_length_exceeded", "input"),
	refused("error-max-tokens", object{"input": "Hi", "max_output_tokens": 100000}, 400, "", "max_output_tokens"),
	refused("error-model", object{"model": "nope", "input": "Hi"}, 404, "model_not_found", "model"),
	refused("error-temperature", object{"input": "Hi", "temperature": 3}, 400, "", "temperature"),
	refused("error-top-logprobs", object{"input": "Hi", "top_logprobs": 21}, 400, "", "top_logprobs"),
	refused("error-image", object{"input": []any{object{"role": "user", "content": []any{
		object{"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}}}}}, 400, "", ""),
	refused("error-tool-type", object{"input": "Hi", "tools": []any{object{"type": "web_search"}}}, 400, "", "tools[0].type"),
	refused("error-schema", object{"input": "Hi", "text": object{"format": object{"type": "json_schema", "name": "x", "schema": object{"type": "nonsense"}}}}, 400, "", ""),
	refused("error-vllm-parameter", object{"input": "Hi", "top_k": "many"}, 400, "", "top_k"),
	refused("error-guided", object{"input": "Hi", "guided_json": object{}}, 400, "", "guided_json"),
	refused("error-state", object{"input": "Hi", "previous_response_id": "resp_unknown"}, 400, "previous_response_not_found", "previous_response_id"),
}
