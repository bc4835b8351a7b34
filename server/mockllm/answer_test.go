package mockllm_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
)

const (
	weather = `{"type":"function","function":{"name":"get_weather","description":"The weather","parameters":{"type":"object","properties":{"city":{"type":"string"},"unit":{"enum":["c","f"]}},"required":["city"]}}}`
	clock   = `{"type":"function","function":{"name":"get_time","parameters":{"type":"object","properties":{"zone":{"type":"integer"}}}}}`
)

// The echo must show every single thing that the request said.
func TestEchoShowsEverything(t *testing.T) {
	server := httptest.NewServer(mockllm.New(mockllm.Options{Vision: true}))
	defer server.Close()
	const request = `{"model":"/mnt/models","temperature":0.25,"top_p":0.5,"seed":7,"messages":[
		{"role":"system","content":"Be \"brief\""},
		{"role":"user","content":[{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==","detail":"low"}},{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]},
		{"role":"assistant","content":null,"reasoning":"hmm","tool_calls":[{"id":"c1","type":"function","function":{"name":"get_time","arguments":"{\"zone\":1}"}}]},
		{"role":"tool","tool_call_id":"c1","content":"noon"},
		{"role":"user","content":"thanks"}],
		"tools":[` + clock + `],"tool_choice":"auto","metadata":{"a":"b"}}`
	_, body := post(t, server.URL, []byte(request), nil)
	assert.Equal(t, `I received 5 messages.
1 system: "Be \"brief\""
2 user: [text "look"] [image_url image/png 118 bytes sha256:53f01d18fd6a95d0 detail="low"] [image_url url="https://example.com/a.png"]
3 assistant: null reasoning="hmm" calls get_time id="c1" arguments="{\"zone\":1}"
4 tool: "noon" tool_call_id="c1"
5 user: "thanks"
tool 1: {"type":"function","function":{"name":"get_time","parameters":{"type":"object","properties":{"zone":{"type":"integer"}}}}}
tool_choice: "auto"
parameters: model="/mnt/models" temperature=0.25 top_p=0.5 seed=7 metadata={"a":"b"}`, content(t, body))
}

func TestToolResultsAreRepeated(t *testing.T) {
	server := httptest.NewServer(mockllm.New(mockllm.Options{}))
	defer server.Close()
	_, body := post(t, server.URL, []byte(`{"messages":[{"role":"user","content":"weather and time?"},
		{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"get_weather","arguments":"{}"}},{"id":"b","function":{"name":"get_time","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"a","content":"sunny"},{"role":"tool","tool_call_id":"b","content":[{"type":"text","text":"noon"}]}],
		"tools":[`+weather+`,`+clock+`]}`), nil)
	assert.Contains(t, content(t, body), "The tools say: sunny; noon\nI received 4 messages.")
}

func TestCalls(t *testing.T) {
	server := httptest.NewServer(mockllm.New(mockllm.Options{}))
	defer server.Close()
	both := `"tools":[` + weather + `,` + clock + `]`
	for name, tt := range map[string]struct {
		prompt, fields string
		want           []string // name and arguments
		finish         string
	}{
		"auto, mentioned":              {"what time is it", both, []string{"get_time", `{"zone": 1}`}, "tool_calls"},
		"auto, both mentioned":         {"time and weather", both, []string{"get_weather", `{"city": "time and weather", "unit": "c"}`, "get_time", `{"zone": 1}`}, "tool_calls"},
		"auto, one at a time":          {"time and weather", both + `,"parallel_tool_calls":false`, []string{"get_weather", `{"city": "time and weather", "unit": "c"}`}, "tool_calls"},
		"auto, not mentioned":          {"hello", both, nil, "stop"},
		"none":                         {"what time is it", both + `,"tool_choice":"none"`, nil, "stop"},
		"required, none mentioned":     {"hello", both + `,"tool_choice":"required"`, []string{"get_weather", `{"city": "hello", "unit": "c"}`, "get_time", `{"zone": 1}`}, "tool_calls"},
		"required, one mentioned":      {"time?", both + `,"tool_choice":"required"`, []string{"get_time", `{"zone": 1}`}, "tool_calls"},
		"named":                        {"hello", both + `,"tool_choice":{"type":"function","function":{"name":"get_time"}}`, []string{"get_time", `{"zone": 1}`}, "stop"},
		"steered":                      {"hello\nmock: call=get_time calls=2", both, []string{"get_time", `{"zone": 1}`, "get_time", `{"zone": 1}`}, "tool_calls"},
		"steered, with text":           {"hello\nmock: call=get_time text=\"let me see\"", both, []string{"get_time", `{"zone": 1}`}, "tool_calls"},
		"steered, with arguments":      {"hi\nmock: call=`get_time {\"zone\":5}` call=get_weather call=`get_time {`", both, []string{"get_time", `{"zone":5}`, "get_weather", `{"city": "hi", "unit": "c"}`, "get_time", `{`}, "tool_calls"},
		"steered to none":              {"what time is it\nmock: call=none", both, nil, "stop"},
		"no parameters":                {"run it now please\nmock: call=run", `"tools":[{"function":{"name":"run"}}]`, []string{"run", `{}`}, "tool_calls"},
		"structured_outputs.regex":     {"x", both + `,"structured_outputs":{"regex":"<tool_call>\\n\\{\"name\": \"get_time\", \"arguments\": \\{\"zone\": [5-9]\\}\\}\\n</tool_call>"}`, []string{"get_time", `{"zone": 5}`}, "tool_calls"},
		"required and response_format": {"time?", both + `,"tool_choice":"required","response_format":{"type":"json_object"}`, []string{"get_time", `{"zone": 1}`}, "tool_calls"},
	} {
		t.Run(name, func(t *testing.T) {
			prompt, _ := json.Marshal(tt.prompt)
			_, body := post(t, server.URL, []byte(`{"messages":[{"role":"user","content":`+string(prompt)+`}],`+tt.fields+`}`), nil)
			var answer struct {
				Choices []struct {
					FinishReason string `json:"finish_reason"`
					Message      struct {
						ToolCalls []struct {
							ID       string
							Function struct{ Name, Arguments string }
						} `json:"tool_calls"`
					}
				}
			}
			require.NoError(t, json.Unmarshal(body, &answer), "%s", body)
			require.Len(t, answer.Choices, 1, "%s", body)
			var got []string
			ids := map[string]bool{}
			for _, call := range answer.Choices[0].Message.ToolCalls {
				got = append(got, call.Function.Name, call.Function.Arguments)
				assert.Regexp(t, "^chatcmpl-tool-[0-9a-f]{16}$", call.ID)
				ids[call.ID] = true
			}
			assert.Equal(t, tt.want, got)
			assert.Len(t, ids, len(got)/2)
			assert.Equal(t, tt.finish, answer.Choices[0].FinishReason)
		})
	}
}

// One user message scripts what the model does turn by turn.
func TestScript(t *testing.T) {
	server := httptest.NewServer(mockllm.New(mockllm.Options{}))
	defer server.Close()
	const user = `{"role":"user","content":"go\nmock: turn=1 text=\"first\"\nmock: turn=2 text=\"second\"\nmock: turn=4 text=\"fourth\""}`
	const call = `,{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"noon"}`
	for messages, want := range map[string]string{
		user:               "first",
		user + call:        "second",
		user + call + call: "The tools say: noon",
		user + call + `,{"role":"assistant","content":"second"},{"role":"user","content":"and then?"}`: "I received 5 messages.",
		user + call + call + call:                         "fourth",
		user + call + `,{"role":"user","content":"look"}`: "second",
	} {
		_, body := post(t, server.URL, []byte(`{"messages":[`+messages+`]}`), nil)
		got, _, _ := strings.Cut(content(t, body), "\n")
		assert.Equal(t, want, got, messages)
	}
}

func TestInstances(t *testing.T) {
	server := httptest.NewServer(mockllm.New(mockllm.Options{}))
	defer server.Close()
	for name, tt := range map[string]struct{ schema, want string }{
		"nested object":  {`{"type":"object","properties":{"a":{"type":"object","properties":{"b":{"type":"boolean"}}},"c":{"type":"null"}}}`, `{"a": {"b": true}, "c": null}`},
		"array":          {`{"type":"array","items":{"type":"integer","minimum":4},"minItems":2}`, `[4, 4]`},
		"empty array":    {`{"type":"array","maxItems":0}`, `[]`},
		"tuple":          {`{"type":"array","prefixItems":[{"const":1},{"const":"b"}]}`, `[1, "b"]`},
		"nullable":       {`{"type":["null","number"],"exclusiveMinimum":0,"multipleOf":0.5}`, `1`},
		"anyOf":          {`{"anyOf":[{"const":"x"},{"type":"null"}]}`, `"x"`},
		"reference":      {`{"$ref":"#/$defs/D","$defs":{"D":{"type":"string","format":"date"}}}`, `"2026-01-02"`},
		"string lengths": {`{"type":"array","prefixItems":[{"type":"string","maxLength":3},{"type":"string","minLength":12}]}`, `["the", "the prompt.."]`},
		"pattern":        {`{"type":"string","pattern":"^[A-Z]{2}-\\d{3}$"}`, `"AA-111"`},
		"free object":    {`{"type":"object"}`, `{}`},
		"no type":        {`{"properties":{"a":{}}}`, `{"a": "the prompt"}`},
		"recursive":      {`{"type":"object","properties":{"v":{"const":1},"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]}}}`, `{"v": 1, "next": {"v": 1, "next": {"v": 1, "next": {}}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			_, body := post(t, server.URL, []byte(`{"messages":[{"role":"user","content":"the prompt"}],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":`+tt.schema+`}}}`), nil)
			assert.Equal(t, tt.want, content(t, body))
		})
	}
}

func TestLimits(t *testing.T) {
	server := httptest.NewServer(mockllm.New(mockllm.Options{}))
	defer server.Close()
	for name, tt := range map[string]struct {
		fields       string
		text, finish string
		completion   int
	}{
		"whole":                      {``, "one two, three four", "stop", 6},
		"just enough without end":    {`,"max_tokens":5`, "one two, three four", "length", 5},
		"cut":                        {`,"max_completion_tokens":2`, "one two", "length", 2},
		"stop string":                {`,"stop":", th"`, "one two", "stop", 4},
		"stop string, kept":          {`,"stop":["x",","],"include_stop_str_in_output":true`, "one two,", "stop", 3},
		"reasoning counts":           {`,"max_tokens":4,"reasoning_effort":"low"`, "", "length", 4},
		"several choices are summed": {`,"n":2`, "one two, three four", "stop", 12},
	} {
		t.Run(name, func(t *testing.T) {
			_, body := post(t, server.URL, []byte(`{"messages":[{"role":"user","content":"say it now.."}]`+tt.fields+`}`), map[string]string{"X-Mock-Text": "one two, three four"})
			assert.Equal(t, tt.text, content(t, body))
			assert.Equal(t, tt.finish, firstChoice(t, body).FinishReason)
			var answer struct {
				Usage struct {
					Prompt     int `json:"prompt_tokens"`
					Completion int `json:"completion_tokens"`
					Total      int `json:"total_tokens"`
				}
			}
			require.NoError(t, json.Unmarshal(body, &answer))
			assert.Equal(t, tt.completion, answer.Usage.Completion)
			assert.Equal(t, answer.Usage.Prompt+answer.Usage.Completion, answer.Usage.Total)
		})
	}
}
