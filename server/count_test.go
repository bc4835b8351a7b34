package server

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/shared/config"
)

const picture = `{"type":"input_image","image_url":"data:image/png;base64,iVBORw0KGgo="}`

// count asks how many tokens a request has.
func (r *running) count(members string) answer {
	r.t.Helper()
	return r.call("POST", "/v1/responses/input_tokens", `{"model":"/mnt/models",`+members+`}`)
}

// counted is how many tokens an answer says.
func counted(t *testing.T, a answer) int {
	t.Helper()
	require.Equal(t, 200, a.status, a.body)
	require.Equal(t, "application/json", a.header.Get("Content-Type"))
	n, ok := strings.CutPrefix(a.body, `{"object":"response.input_tokens","input_tokens":`)
	require.True(t, ok, a.body)
	tokens, err := strconv.Atoi(strings.TrimSuffix(n, "}"))
	require.NoError(t, err, a.body)
	return tokens
}

// used is how many tokens a request had that was answered.
func used(t *testing.T, a answer) int {
	t.Helper()
	var r struct {
		Usage struct {
			Input int `json:"input_tokens"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(resourceOf(t, a)), &r))
	require.Positive(t, r.Usage.Input)
	return r.Usage.Input
}

var countedRequests = map[string]string{
	"a text":       `"input":"How long is this?"`,
	"instructions": `"instructions":"You are terse.","input":[{"role":"developer","content":"And polite."},{"role":"user","content":"hi"}]`,
	"tools":        `"input":"hi","tools":[{"type":"function","name":"look_up","description":"Looks a word up","parameters":{"type":"object","properties":{"word":{"type":"string"}}}}],"tool_choice":"none"`,
	"calls":        `"input":[{"role":"user","content":"hi"},{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a\":1}"},{"type":"function_call_output","call_id":"c","output":"it says no"}]`,
	"what only an answer needs": `"input":"hi","stream":true,"max_output_tokens":16,"temperature":0.5,"top_logprobs":2,"reasoning":{"effort":"low"},
		"text":{"format":{"type":"json_schema","name":"s","schema":{"type":"object"}}},"seed":1,"stop":["x"]`,
	"a file of text": `"input":[{"role":"user","content":[{"type":"input_text","text":"see:"},{"type":"input_file","filename":"a.txt","file_data":"data:text/plain;base64,dGhlIHRleHQ="}]}]`,
}

// What is counted is what the same request is said to have used.
func TestTokensAreCountedAsTheyAreUsed(t *testing.T) {
	for _, how := range []string{config.Tokenize, config.CompletionCount} {
		eachStore(t, func(t *testing.T, r *running, llm *seen) {
			for name, members := range countedRequests {
				require.Equal(t, used(t, r.ask(members)), counted(t, r.count(members)), name)
			}
			first := read(t, r.ask(`"instructions":"Be kind.","input":"the first question"`))
			next := `"previous_response_id":"` + first.ID + `","input":"and the second"`
			tokens := counted(t, r.count(next))
			require.Equal(t, used(t, r.ask(next)), tokens, "a response that is continued")
			require.Greater(t, tokens, counted(t, r.count(`"input":"and the second"`)))

			conversation := r.converses(t)
			on := `"conversation":"` + conversation + `","input":"once more"`
			tokens = counted(t, r.count(on))
			require.Equal(t, used(t, r.ask(on)), tokens, "a conversation")
			require.Greater(t, counted(t, r.count(on)), tokens, "counting has added nothing, answering has")
			refused(t, r.count(`"previous_response_id":"resp_none","input":"x"`), 400, "previous_response_id", "previous_response_not_found", "not found")
			refused(t, r.count(`"input":[{"type":"dream"}]`), 400, "input[0].type", "unsupported_item", "dream")
		}, func(c *config.Config) { c.Engine.CountTokens = how })
	}
}

// converses makes a conversation that has an item.
func (r *running) converses(t *testing.T) string {
	t.Helper()
	a := r.call("POST", "/v1/conversations", `{"items":[{"role":"user","content":"we were saying"}]}`)
	require.Equal(t, 200, a.status, a.body)
	var c struct{ ID string }
	require.NoError(t, json.Unmarshal([]byte(a.body), &c))
	return c.ID
}

// tokenizer is a backend that keeps what it was asked to count.
func tokenizer(t *testing.T, answer func(w http.ResponseWriter, body string)) string {
	t.Helper()
	return upstreamOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/base/tokenize" && r.URL.Path != "/tokenize" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		answer(w, string(body))
	}))
}

func TestTokenizeIsAskedAboutTheChatRequestItself(t *testing.T) {
	var got string
	url := tokenizer(t, func(w http.ResponseWriter, body string) {
		got = body
		_, _ = io.WriteString(w, ` {"count": 7, "max_model_len": 10, "tokens": [1,2]}`)
	})
	r := start(t, config.VLLM, url+"/base", func(c *config.Config) { c.Engine.DefaultModel = "default" })
	for members, want := range map[string]string{
		`{"input":"hi"}`: `{"model":"default","messages":[{"role":"user","content":"hi"}],"add_generation_prompt":true}`,
		`{"model":"m","input":"hi","reasoning":{"effort":"none"},"chat_template_kwargs":{"reasoning_effort":"high","a":[1]}}`: `{"model":"m","messages":[{"role":"user","content":"hi"}],` +
			`"add_generation_prompt":true,"chat_template_kwargs":{"a":[1],"reasoning_effort":"none","enable_thinking":false}}`,
		`{"model":"m","input":"hi","reasoning":{"effort":"low"},"chat_template_kwargs":{"enable_thinking":false,"documents":1},"documents":[{"text":"d"}]}`: `{"model":"m","messages":[{"role":"user","content":"hi"}],` +
			`"add_generation_prompt":true,"chat_template_kwargs":{"enable_thinking":false,"reasoning_effort":"low","documents":[{"text":"d"}]}}`,
		`{"model":"m","input":"hi","chat_template_kwargs":{},"add_generation_prompt":false,"continue_final_message":true,"seed":1}`: `{"model":"m","messages":[{"role":"user","content":"hi"}],` +
			`"add_generation_prompt":false,"continue_final_message":true,"chat_template_kwargs":{}}`,
	} {
		require.Equal(t, 7, counted(t, r.call("POST", "/v1/responses/input_tokens", members)))
		require.Equal(t, want, got)
	}
}

func TestWhatIsNoTextIsNotCounted(t *testing.T) {
	llm := newSeen(t)
	store := func(c *config.Config) { c.State.Type = config.MemoryState }
	r := start(t, config.VLLM, llm.url, store)
	ready(t, r)
	shown := read(t, r.ask(`"input":[{"role":"user","content":[`+picture+`]}]`))
	for members, param := range map[string]string{
		`"input":[{"role":"user","content":[{"type":"input_text","text":"see"},` + picture + `]}]`:                                                              "input[0].content[1]",
		`"input":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]}]`:                                             "input[0].content[0]",
		`"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":[` + picture + `]}]`: "input[1].output[0]",
		`"input":"and now?","previous_response_id":"` + shown.ID + `"`:                                                                                          "previous_response_id",
	} {
		refused(t, r.count(members), 400, param, "unsupported_content", "engine.count_tokens")
	}
	conversation := r.converses(t)
	require.Equal(t, 200, r.ask(`"conversation":"`+conversation+`","input":[{"role":"user","content":[`+picture+`]}]`).status)
	refused(t, r.count(`"conversation":"`+conversation+`","input":"and now?"`), 400, "conversation", "unsupported_content", "engine.count_tokens")

	r = start(t, config.VLLM, llm.url, store, func(c *config.Config) { c.Engine.CountTokens = config.CompletionCount })
	seen := `"input":[{"role":"user","content":[` + picture + `]}]`
	require.Equal(t, used(t, r.ask(seen)), counted(t, r.count(seen)), "a completion counts it")
}

func TestWhoCannotCountIsToldOf(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	r := start(t, config.VLLM, llm, func(c *config.Config) { c.Engine.CountTokens = config.Off })
	refused(t, r.count(`"input":"hi"`), 404, "", "unsupported_endpoint", "count")
	r = start(t, config.VLLM, llm)
	refused(t, r.call("POST", "/v1/responses/input_tokens", `{"model":"other","input":"hi"}`), 404, "model", "model_not_found", "other")

	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter)
		status int
		code   string
	}{
		"vLLM without it": {func(w http.ResponseWriter) {
			fail(w, 404, `{"error":{"message":"Not Found","type":"Not Found","code":404}}`)
		}, 501, "unsupported_endpoint"},
		"another server":    {func(w http.ResponseWriter) { fail(w, 405, `{"detail":"Method Not Allowed"}`) }, 501, "unsupported_endpoint"},
		"too long":          {func(w http.ResponseWriter) { fail(w, 400, `{"error":{"message":"maximum context length is 4"}}`) }, 400, "context_length_exceeded"},
		"a failure":         {func(w http.ResponseWriter) { fail(w, 500, `oh`) }, 500, "upstream_error"},
		"no JSON":           {func(w http.ResponseWriter) { fail(w, 200, `{"count":7`) }, 502, "upstream_invalid_answer"},
		"no number":         {func(w http.ResponseWriter) { fail(w, 200, `{"count":"7"}`) }, 502, "upstream_invalid_answer"},
		"no member":         {func(w http.ResponseWriter) { fail(w, 200, `{}`) }, 502, "upstream_invalid_answer"},
		"less than nothing": {func(w http.ResponseWriter) { fail(w, 200, `{"count":-1}`) }, 502, "upstream_invalid_answer"},
		"too much":          {func(w http.ResponseWriter) { fail(w, 200, `{"count":7,"tokens":[`+strings.Repeat("1,", 4<<10)+`1]}`) }, 502, "upstream_invalid_answer"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, config.VLLM, tokenizer(t, func(w http.ResponseWriter, _ string) { c.answer(w) }), func(c *config.Config) { c.Limits.ResponseBodyBytes = 4 << 10 })
			got := r.count(`"input":"hi"`)
			require.Equal(t, c.status, got.status, got.body)
			_, _, code := got.errorCode(t)
			require.Equal(t, c.code, code, got.body)
		})
	}
}

func fail(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// Counting goes the way of a request for a response: its model may be another's or
// have another name, and another backend counts where one is away.
func TestCountingGoesTheWayOfCreates(t *testing.T) {
	var got string
	url := tokenizer(t, func(w http.ResponseWriter, body string) {
		got = body
		_, _ = io.WriteString(w, `{"count":5}`)
	})
	gone := tokenizer(t, func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) })
	r := start(t, config.VLLM, url, func(c *config.Config) {
		c.Routes = []config.Route{
			{Name: "big", Match: config.Match{Models: []string{"big"}}, Backends: []config.Backend{
				{URL: gone, Provider: config.VLLM, Weight: 1, Model: "there"}, {URL: url, Provider: config.VLLM, Weight: 1, Model: "served"}}},
		}
	})
	for range 4 {
		require.Equal(t, 5, counted(t, r.call("POST", "/v1/responses/input_tokens", `{"model":"big","input":"hi"}`)))
		require.True(t, strings.HasPrefix(got, `{"model":"served","messages":[`), got)
	}
}
