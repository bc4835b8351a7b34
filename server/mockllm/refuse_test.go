package mockllm_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
)

const hi = `"messages":[{"role":"user","content":"hi"}]`

func TestRefusals(t *testing.T) {
	server := httptest.NewServer(mockllm.New(mockllm.Options{MaxModelLen: 4096}))
	defer server.Close()
	call := func(id, args string) string {
		return fmt.Sprintf(`{"role":"assistant","tool_calls":[{"id":%q,"type":"function","function":{"name":"f","arguments":%s}}]}`, id, args)
	}
	for name, tt := range map[string]struct {
		body    string
		status  int
		param   string
		message string // a part of it
	}{
		"not an object":                {`[]`, 400, "body", "valid dictionary"},
		"trailing garbage":             {`{` + hi + `}x`, 400, "body.45", "Extra data"},
		"invalid UTF-8":                {"{\"messages\":\"\xff\"}", 400, "", "error parsing the body"},
		"messages not a list":          {`{"messages":"hi"}`, 400, "body.messages", "valid list"},
		"no messages":                  {`{"messages":[]}`, 400, "", "No user query"},
		"message without role":         {`{"messages":[{"content":"hi"}]}`, 400, "body.messages.0.role", "Field required"},
		"content a number":             {`{"messages":[{"role":"user","content":1}]}`, 400, "body.messages.0.content", "valid string"},
		"temperature a string":         {`{` + hi + `,"temperature":"warm"}`, 400, "body.temperature", "valid number"},
		"two wrong fields":             {`{` + hi + `,"temperature":"warm","n":"many"}`, 400, "body.n", "2 validation errors"},
		"temperature too high":         {`{` + hi + `,"temperature":2.5}`, 400, "temperature", "must be in [0, 2], got 2.5"},
		"top_p zero":                   {`{` + hi + `,"top_p":0}`, 400, "top_p", "must be in (0, 1], got 0.0"},
		"penalty out of range":         {`{` + hi + `,"presence_penalty":3}`, 400, "", "must be in [-2, 2], got 3.0"},
		"max_tokens zero":              {`{` + hi + `,"max_tokens":0}`, 400, "max_tokens", "at least 1, got 0"},
		"max_completion_tokens large":  {`{` + hi + `,"max_completion_tokens":5000}`, 400, "max_completion_tokens", "cannot be greater than max_model_len=4096"},
		"stream_options alone":         {`{` + hi + `,"stream_options":{"include_usage":true}}`, 400, "stream_options", "only be defined when `stream=True`"},
		"top_logprobs 30":              {`{` + hi + `,"logprobs":true,"top_logprobs":30}`, 400, "logprobs", "greater than max allowed: 20"},
		"empty stop string":            {`{` + hi + `,"stop":[""]}`, 400, "", "empty string"},
		"unknown effort":               {`{` + hi + `,"reasoning_effort":"huge"}`, 400, "body.reasoning_effort", "Input should be 'none'"},
		"json_schema without schema":   {`{` + hi + `,"response_format":{"type":"json_schema"}}`, 400, "response_format", "must be provided"},
		"unknown response_format":      {`{` + hi + `,"response_format":{"type":"xml"}}`, 400, "body.response_format.type", "'json_object'"},
		"two constraints":              {`{` + hi + `,"structured_outputs":{"regex":"a","choice":["a"]}}`, 400, "", "one kind of constraints"},
		"tool of another type":         {`{` + hi + `,"tools":[{"type":"web_search"}]}`, 400, "body.tools.0.type", "'function'"},
		"tool in the flat form":        {`{` + hi + `,"tools":[{"type":"function","name":"f"}]}`, 400, "body.tools.0.function", "Field required"},
		"tool_choice unknown":          {`{` + hi + `,"tools":[{"function":{"name":"f"}}],"tool_choice":"any"}`, 400, "tool_choice", "Invalid value for `tool_choice`: any!"},
		"tool_choice in the flat form": {`{` + hi + `,"tools":[{"function":{"name":"f"}}],"tool_choice":{"type":"function","name":"f"}}`, 400, "tool_choice.function", "Invalid value for `function`: `None`"},
		"tool_choice of no tool":       {`{` + hi + `,"tools":[{"function":{"name":"f"}}],"tool_choice":{"function":{"name":"g"}}}`, 400, "tool_choice", "does not match any"},
		"unknown role":                 {`{"messages":[{"role":"critic","content":"hi"}]}`, 400, "", "Unexpected message role."},
		"late system message":          {`{"messages":[{"role":"user","content":"hi"},{"role":"system","content":"be brief"}]}`, 400, "", "System message must be at the beginning."},
		"unknown part":                 {`{"messages":[{"role":"user","content":[{"type":"hologram"}]}]}`, 400, "type", "Unsupported chat content part type: 'hologram'"},
		"part without type":            {`{"messages":[{"role":"user","content":[{"data":"x"}]}]}`, 400, "type", "Missing 'type'"},
		"result of no call":            {`{"messages":[{"role":"user","content":"hi"},{"role":"tool","tool_call_id":"c9","content":"1"}]}`, 400, "", "'c9'"},
		"call without a result":        {`{"messages":[` + call("c1", `"{}"`) + `,{"role":"user","content":"well?"}]}`, 400, "", "did not have response messages: c1"},
		"call without a result at end": {`{"messages":[` + call("c1", `"{}"`) + `]}`, 400, "", "did not have response messages: c1"},
		"arguments an object":          {`{"messages":[` + call("c1", `{}`) + `,{"role":"tool","tool_call_id":"c1","content":"1"}]}`, 400, "body.messages.0.tool_calls.0.function.arguments", "valid string"},
		"unknown directive":            {`{"messages":[{"role":"user","content":"hi\nmock: cut_after=3"}]}`, 400, "mock", "cut-after"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := post(t, server.URL, []byte(tt.body), nil)
			require.Equal(t, tt.status, status, "%s", body)
			var got struct {
				Error struct {
					Message, Param string
					Code           int
				}
			}
			require.NoError(t, json.Unmarshal(body, &got))
			assert.Contains(t, got.Error.Message, tt.message)
			assert.Equal(t, tt.param, got.Error.Param)
			assert.Equal(t, tt.status, got.Error.Code)
		})
	}
}

func TestAccepted(t *testing.T) {
	open := httptest.NewServer(mockllm.New(mockllm.Options{OpenTemplate: true, Vision: true}))
	defer open.Close()
	for name, body := range map[string]string{
		"no model":                `{` + hi + `}`,
		"nulls":                   `{` + hi + `,"temperature":null,"tools":null,"tool_choice":null,"stop":null,"stream":null}`,
		"guided_* is ignored":     `{` + hi + `,"guided_json":{"type":"object"}}`,
		"unknown fields":          `{` + hi + `,"frobnicate":1}`,
		"developer after user":    `{"messages":[{"role":"user","content":"hi"},{"role":"developer","content":"be brief"}]}`,
		"any role, open template": `{"messages":[{"role":"critic","content":"hi"}]}`,
		"image, vision model":     `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := post(t, open.URL, []byte(body), nil)
			require.Equal(t, http.StatusOK, status, "%s", answer)
		})
	}
}

func TestOtherPaths(t *testing.T) {
	server := httptest.NewServer(mockllm.New(mockllm.Options{APIKey: "secret"}))
	defer server.Close()
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/health":     {200, ""},
		"/version":    {200, `"version":"0.32.0"`},
		"/v1/models":  {401, `{"error":"Unauthorized"}`},
		"/mock/stats": {200, `"aborted":0`},
		"/nothing":    {404, `"message":"Not Found","type":"Not Found","param":null,"code":404`},
	} {
		res, err := http.Get(server.URL + path)
		require.NoError(t, err)
		body := readBody(t, res)
		assert.Equal(t, want.status, res.StatusCode, path)
		assert.Contains(t, body, want.body, path)
	}
	status, body := post(t, server.URL, []byte(`{`+hi+`}`), map[string]string{"Authorization": "Bearer secret"})
	assert.Equal(t, 200, status, "%s", body)
	status, body = post(t, server.URL, []byte(`{`+hi+`}`), map[string]string{"Authorization": "Bearer secret", "Content-Type": "text/plain"})
	assert.Equal(t, 400, status)
	assert.True(t, strings.Contains(string(body), "Unsupported Media Type"), "%s", body)
}
