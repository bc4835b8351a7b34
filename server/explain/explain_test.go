package explain

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"antwort/shared/policy"
	"antwort/shared/translate"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// field is what a report says of a field.
func field(t *testing.T, r *Report, path string) Field {
	t.Helper()
	for _, f := range r.Fields {
		if f.Field == path {
			return f
		}
	}
	require.Fail(t, "no field "+path, "%v", r.Fields)
	return Field{}
}

func TestWhereFieldsGo(t *testing.T) {
	const tool = `{"type":"function","name":"f"}`
	for name, test := range map[string]struct {
		config, body, field string
		fates               []translate.Fate
		to                  string
		why                 string
	}{
		"a late system message goes into the first": {
			body: `{"model":"m","instructions":"a","input":[{"role":"user","content":"b"},{"role":"system","content":"c"}]}`, field: "input[1].content",
			fates: []translate.Fate{translate.Mapped}, to: "messages[0].content",
		},
		"a late system message without a first one moves all others": {
			body: `{"model":"m","input":[{"role":"user","content":"b"},{"role":"system","content":"c"}]}`, field: "input[0].content",
			fates: []translate.Fate{translate.Mapped}, to: "messages[1].content",
		},
		"system messages stay apart where they are not folded": {
			config: `"translation":{"fold_system":false}`,
			body:   `{"model":"m","input":[{"role":"user","content":"b"},{"role":"system","content":"c"}]}`, field: "input[1].content",
			fates: []translate.Fate{translate.Mapped}, to: "messages[1].content",
		},
		"an output goes behind its call": {
			body: `{"model":"m","input":[{"type":"function_call_output","call_id":"c","output":"o"},{"role":"user","content":"b"},` +
				`{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]}`, field: "input[0].output",
			fates: []translate.Fate{translate.Mapped}, to: "messages[2].content",
		},
		"an image of an output goes into a message of the user": {
			body: `{"model":"m","input":[{"role":"user","content":"b"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},` +
				`{"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"t"},{"type":"input_image","image_url":"https://example.com/a.png"}]}]}`, field: "input[2].output[1].image_url",
			fates: []translate.Fate{translate.Mapped}, to: "messages[3].content[0].image_url.url",
		},
		"the second call of a turn": {
			body: `{"model":"m","input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call","call_id":"d","name":"g","arguments":"{}"}]}`, field: "input[1].name",
			fates: []translate.Fate{translate.Mapped}, to: "messages[0].tool_calls[1].function.name",
		},
		"a thought that nobody here can read": {
			body: `{"model":"m","input":[{"role":"user","content":"b"},{"type":"reasoning","summary":[],"encrypted_content":"theirs"}]}`, field: "input[1].encrypted_content",
			fates: []translate.Fate{translate.Lossy}, why: "beside content, or made by others",
		},
		"a message of the assistant that says nothing is not sent": {
			body: `{"model":"m","input":[{"role":"user","content":"b"},{"type":"reasoning","content":[{"type":"reasoning_text","text":""}]}]}`, field: "input[1].content[0].text",
			fates: []translate.Fate{translate.Lossy}, why: "would say nothing",
		},
		"a thought that says nothing": {
			body: `{"model":"m","input":[{"type":"reasoning","content":[{"type":"reasoning_text","text":""}]},{"role":"assistant","content":"b"}]}`, field: "input[0].content[0].text",
			fates: []translate.Fate{translate.Lossy}, why: "says nothing",
		},
		"a tool that is left out": {
			config: `"translation":{"unsupported_tools":"drop"}`,
			body:   `{"model":"m","input":"a","tools":[{"type":"web_search"},` + tool + `]}`, field: "tools[0]",
			fates: []translate.Fate{translate.Dropped}, why: "translation.unsupported_tools is drop",
		},
		"the tool behind one that is left out": {
			config: `"translation":{"unsupported_tools":"drop"}`,
			body:   `{"model":"m","input":"a","tools":[{"type":"web_search"},` + tool + `]}`, field: "tools[1].name",
			fates: []translate.Fate{translate.Mapped, echoed}, to: "tools[0].function.name",
		},
		"an item of a tool that is left out": {
			config: `"translation":{"unsupported_tools":"drop"}`,
			body:   `{"model":"m","input":[{"role":"user","content":"a"},{"type":"web_search_call","id":"ws_1","status":"completed"}]}`, field: "input[1]",
			fates: []translate.Fate{translate.Dropped}, why: "nobody here runs its tool",
		},
		"a tool that tool_choice does not allow": {
			body: `{"model":"m","input":"a","tools":[` + tool + `,{"type":"function","name":"g"}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"g"}]}}`, field: "tools[0]",
			fates: []translate.Fate{translate.Dropped, echoed}, why: "tool_choice does not allow it",
		},
		"tool_choice without tools": {
			body: `{"model":"m","input":"a","tool_choice":"auto"}`, field: "tool_choice",
			fates: []translate.Fate{translate.Dropped, echoed}, why: "no tools are sent",
		},
		"null": {
			body: `{"model":"m","input":"a","user":null}`, field: "user",
			fates: []translate.Fate{absent}, why: "null is the same as absent",
		},
		"a field that nobody knows": {
			body: `{"model":"m","input":"a","x.y[0]":{"b":1}}`, field: "x.y[0]",
			fates: []translate.Fate{translate.Passed}, to: "x.y[0]",
		},
		"an option of streams without a stream": {
			body: `{"model":"m","input":"a","stream_options":{"x":1}}`, field: "stream_options.x",
			fates: []translate.Fate{translate.Lossy},
		},
	} {
		t.Run(name, func(t *testing.T) {
			text := `{"engine":{"provider":"vllm","backend_url":"http://127.0.0.1:8000"},"state":{"type":"none"}`
			if test.config != "" {
				text += "," + test.config
			}
			r := Request(&Question{Config: configured(t, text+"}"), Body: []byte(test.body)})
			require.Nil(t, r.Refusal)
			f := field(t, r, test.field)
			assert.Equal(t, test.fates, f.Fates)
			assert.Equal(t, test.to, strings.Join(f.To, ", "))
			if test.why != "" {
				assert.Contains(t, f.Why, test.why)
			}
		})
	}
}

// A long request is explained in time: what is told of a field is found at once.
func TestALongRequest(t *testing.T) {
	turn := `{"role":"user","content":[{"type":"input_text","text":"a"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},` +
		`{"type":"function_call_output","call_id":"c","output":[{"type":"input_image","image_url":"https://example.com/a.png"}]}`
	const turns = 1000
	body := `{"model":"m","input":[` + strings.Repeat(turn+",", turns-1) + turn + `]}`
	r := Request(&Question{Config: configured(t, ""), Body: []byte(body)})
	require.Nil(t, r.Refusal)
	assert.Len(t, r.Fields, 1+turns*11)
	last := field(t, r, "input[2999].output[0].image_url")
	assert.Equal(t, []string{"messages[3999].content[0].image_url.url"}, last.To)
}

func TestWhatIsAdded(t *testing.T) {
	r := Request(&Question{Config: configured(t, `{"engine":{"provider":"vllm","backend_url":"http://127.0.0.1:8000","default_model":"d"}}`), Body: []byte(`{"input":"hi","stream":true}`)})
	require.Nil(t, r.Refusal)
	var added []string
	for _, a := range r.Added {
		added = append(added, a.To+" "+a.Value)
	}
	assert.Equal(t, []string{`model "d"`, `messages[0].role "user"`, "stream_options.include_usage true"}, added)
	assert.JSONEq(t, `{"model":"d","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true}}`, string(r.Chat))
	assert.True(t, r.Stream)
	assert.Contains(t, r.Defaults, Default{"temperature", "1"})
}

const keyed = `{"engine":{"provider":"vllm","backend_url":"http://127.0.0.1:8000"},
	"auth":{"type":"api_key","api_keys":[
		{"sha256":"0c0beacef8877bbf2416eb00f2b5dc96354e26dd1df5517320459b1236860f8c","subject":"ana","tenant":"red","models":["qwen*"]},
		{"sha256":"5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8","subject":"bob"}]},
	"limits":{"rules":[{"name":"red-team","per":["tenant"],"match":{"tenants":["red"]},"requests_per_minute":60,"tokens_per_day":1000}]},
	"routes":[
		{"name":"big","match":{"models":["llama*"]},"backends":[{"url":"http://big.example"}]},
		{"name":"red","match":{"models":["qwen*"],"tenants":["red"],"headers":{"x-stage":"test"}},"backends":[{"url":"http://a.example","model":"served"},{"url":"http://b.example"}]}]}`

func TestCallerAndRoute(t *testing.T) {
	cfg := configured(t, keyed)
	body := []byte(`{"model":"qwen3","input":"hi"}`)
	staged := func(name string) []string {
		if name == "x-stage" {
			return []string{"test"}
		}
		return nil
	}
	ana, err := Named(cfg, "ana", "")
	require.NoError(t, err)

	t.Run("what the caller may, and where it goes", func(t *testing.T) {
		r := Request(&Question{Config: cfg, Caller: ana, Field: staged, Body: body})
		require.Nil(t, r.Refusal)
		assert.Equal(t, &Caller{Asked: true, Subject: "ana", Tenant: "red", Key: "0c0beacef8877bbf", Models: []string{"qwen*"}}, r.Caller)
		assert.Equal(t, []Limit{{Rule: "red-team", Per: []string{"tenant"}, RequestsPerMinute: 60, TokensPerDay: 1000}}, r.Limits)
		assert.Equal(t, "red", r.Route.Name)
		assert.Equal(t, "qwen3", r.Route.Model)
		assert.Equal(t, []Backend{{URL: "http://a.example", Model: "served", Weight: 1}, {URL: "http://b.example", Weight: 1}}, r.Route.Backends)
		assert.Equal(t, []Candidate{
			{Name: "big", Conditions: []Condition{{"models llama*", false}}},
			{Name: "red", Chosen: true, Fits: true, Conditions: []Condition{{"models qwen*", true}, {"tenants red", true}, {"x-stage: test", true}}},
			{Name: "default", Fits: true},
		}, r.Routes)
	})
	t.Run("another header, another route", func(t *testing.T) {
		r := Request(&Question{Config: cfg, Caller: ana, Body: body})
		assert.Equal(t, "default", r.Route.Name)
		assert.Equal(t, []Condition{{"models qwen*", true}, {"tenants red", true}, {"x-stage: test", false}}, r.Routes[1].Conditions)
	})
	t.Run("a model that the caller may not use", func(t *testing.T) {
		r := Request(&Question{Config: cfg, Caller: ana, Body: []byte(`{"model":"llama4","input":"hi"}`)})
		require.NotNil(t, r.Refusal)
		assert.Equal(t, Refused, r.Outcome)
		assert.Equal(t, 404, r.Refusal.Status)
		assert.Equal(t, "model", r.Refusal.Param)
	})
	t.Run("refused before anybody looks where it goes", func(t *testing.T) {
		r := Request(&Question{Config: cfg, Caller: ana, Field: staged, Body: []byte(`{"model":"qwen3","input":"hi","n":2}`)})
		require.NotNil(t, r.Refusal)
		assert.Nil(t, r.Route)
		assert.True(t, r.Routes[1].Fits)
	})
	t.Run("by the key itself", func(t *testing.T) {
		key := func(text string) func(string) []string {
			return func(name string) []string {
				if name == "authorization" {
					return []string{"Bearer " + text}
				}
				return nil
			}
		}
		r := Request(&Question{Config: cfg, Field: key("password"), Body: body})
		assert.Equal(t, "bob", r.Caller.Subject)
		r = Request(&Question{Config: cfg, Field: key("wrong"), Body: body})
		require.NotNil(t, r.Refusal)
		assert.Equal(t, 401, r.Refusal.Status)
		assert.Nil(t, r.Route)
	})
	t.Run("nobody", func(t *testing.T) {
		r := Request(&Question{Config: cfg, Body: body})
		assert.Nil(t, r.Refusal)
		assert.Equal(t, &Caller{Asked: true}, r.Caller)
		assert.Contains(t, r.Notes[0], "no caller is named")
	})
	t.Run("one that there is not", func(t *testing.T) {
		_, err := Named(cfg, "eve", "")
		assert.EqualError(t, err, "no API key is eve's: there are keys of ana, bob")
		_, err = Named(configured(t, ""), "eve", "")
		assert.EqualError(t, err, "auth.type is none: nobody is asked who calls")
	})
}

func TestForwarded(t *testing.T) {
	cfg := configured(t, `{"engine":{"provider":"vllm-responses","backend_url":"http://127.0.0.1:8000"}}`)
	r := Request(&Question{Config: cfg, Body: []byte(`{"model":"m","input":"hi","stream":true,"n":3}`)})
	assert.Equal(t, Forwarded, r.Outcome)
	assert.True(t, r.Stream)
	assert.Equal(t, Field{Field: "n", Value: "3", Fates: []translate.Fate{translate.Passed}, To: []string{"n"}}, field(t, r, "n"))
	assert.Nil(t, r.Chat)
}

func TestRefused(t *testing.T) {
	for name, test := range map[string]struct{ body, param, code string }{
		"no JSON":        {`{"model"`, "", "invalid_json"},
		"no object":      {`[1]`, "", "invalid_json"},
		"a wrong type":   {`{"model":"m","input":"hi","temperature":"hot"}`, "temperature", "invalid_type"},
		"within an item": {`{"model":"m","input":[{"role":"user","content":[{"type":"input_image","file_id":"f"}]}]}`, "input[0].content[0].file_id", "unsupported_parameter"},
		"missing":        {`{"model":"m"}`, "input", "missing_required_parameter"},
		"not stored":     {`{"model":"m","input":"hi","previous_response_id":"resp_1"}`, "previous_response_id", "previous_response_not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			r := Request(&Question{Config: configured(t, ""), Body: []byte(test.body)})
			require.NotNil(t, r.Refusal)
			assert.Equal(t, Refused, r.Outcome)
			assert.Equal(t, test.param, r.Refusal.Param)
			assert.Equal(t, test.code, r.Refusal.Code)
			if test.param != "" {
				assert.Equal(t, test.param, r.Fields[0].Field)
				assert.Equal(t, []translate.Fate{refused}, r.Fields[0].Fates)
			}
		})
	}
}

func TestWhatAStoreWouldSay(t *testing.T) {
	cfg := configured(t, `{"engine":{"provider":"vllm","backend_url":"http://127.0.0.1:8000"},"state":{"type":"memory"}}`)
	r := Request(&Question{Config: cfg, Body: []byte(`{"model":"m","input":"hi","previous_response_id":"resp_1"}`)})
	require.Nil(t, r.Refusal)
	assert.Equal(t, []translate.Fate{echoed}, field(t, r, "previous_response_id").Fates)
	assert.Contains(t, strings.Join(r.Notes, "\n"), "the store has them, and was not asked")

	r = Request(&Question{
		Config: cfg, Body: []byte(`{"model":"m","input":"hi","previous_response_id":"resp_1"}`),
		Past: &translate.Past{Items: []byte(`[{"role":"user","content":"before"},{"role":"assistant","content":"yes"}]`)},
	})
	require.Nil(t, r.Refusal)
	assert.Equal(t, []string{"messages[2].content"}, field(t, r, "input").To)
	assert.Contains(t, field(t, r, "previous_response_id").To, "messages[0].content")
	assert.Empty(t, r.Notes)
}

func TestAnswers(t *testing.T) {
	cfg := configured(t, "")
	explained := func(stream string) *Report {
		r := Request(&Question{Config: cfg, Body: []byte(`{"model":"m","input":"hi","stream":` + stream + `}`)})
		require.Nil(t, r.Refusal)
		return r
	}
	t.Run("a stream", func(t *testing.T) {
		a := explained("true").Answered(200, []byte(`data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}

data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}

data: {"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}

data: [DONE]

`)).Answer
		require.Nil(t, a.Refusal)
		assert.Equal(t, "Hello", a.Text)
		assert.Equal(t, &Verdict{OK: true}, a.Verdict)
		assert.Len(t, a.Steps, 4)
		assert.Equal(t, "response.created", a.Steps[0].Events[0].Type)
		assert.Equal(t, "[DONE]", a.Steps[3].Events[len(a.Steps[3].Events)-1].Type)
		var resource struct{ Status string }
		require.NoError(t, json.Unmarshal(a.Response, &resource))
		assert.Equal(t, "completed", resource.Status)
	})
	t.Run("a whole answer", func(t *testing.T) {
		a := explained("false").Answered(200, []byte(`{"choices":[{"message":{"content":"Hello"},"finish_reason":"stop"}]}`)).Answer
		require.Nil(t, a.Refusal)
		assert.Equal(t, "Hello", a.Text)
		assert.True(t, a.Verdict.OK)
	})
	t.Run("a stream that is cut", func(t *testing.T) {
		a := explained("true").Answered(200, []byte("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}\n\n")).Answer
		assert.Contains(t, string(a.Response), `"status":"failed"`)
		assert.Empty(t, a.Steps[len(a.Steps)-1].Chat)
	})
	t.Run("nothing", func(t *testing.T) {
		a := explained("true").Answered(200, nil).Answer
		assert.Equal(t, "upstream_cut", a.Refusal.Code)
	})
	t.Run("an error", func(t *testing.T) {
		a := explained("true").Answered(429, []byte(`{"error":{"message":"slow down"}}`)).Answer
		assert.Equal(t, 429, a.Refusal.Status)
	})
	t.Run("of a request that is refused", func(t *testing.T) {
		r := Request(&Question{Config: cfg, Body: []byte(`{"model":"m"}`)})
		assert.Nil(t, r.Answered(200, nil).Answer)
	})
}

func TestReportsAreJSON(t *testing.T) {
	r := Request(&Question{Config: configured(t, keyed), Caller: policy.NewIdentity("ana", "red", "", nil), Body: []byte(`{"model":"m","input":"<b>"}`)})
	text, err := json.Marshal(r)
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(text, &members))
	assert.Equal(t, "translated", members["outcome"])
	assert.Equal(t, map[string]any{"model": "m", "messages": []any{map[string]any{"role": "user", "content": "<b>"}}}, members["chat"])
	var out bytes.Buffer
	require.NoError(t, r.WriteTable(&out, false))
	for line := range strings.Lines(out.String()) {
		assert.LessOrEqual(t, len([]rune(line)), width+1, line)
	}
}
