package filter_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"antwort/filter/filtertest"
	"antwort/shared/corpus"

	"github.com/stretchr/testify/require"
)

const (
	compactPath = "/v1/responses/compact"
	triggers    = `{"model":"m","input":[{"r\u006fle":"\u0075ser","content":"\u0068ello"},{"type":"compaction_trigger"}]`
)

// sealing is a configuration with the key of the corpus, and what its host needs.
func sealing(profile string, more ...string) ([]byte, func(*filtertest.Options)) {
	keys := []string{"state.keys", `[{"id":"a","key_env":"` + corpus.KeyVariable + `"}]`}
	return config("vllm", profile, append(keys, more...)...), func(o *filtertest.Options) {
		o.Env = map[string]string{corpus.KeyVariable: corpus.KeyText}
	}
}

// A compaction is one request, whoever asks for it, and its tokens are counted once. The
// golden cases say what is in it.
func TestConversationsAreSummedUp(t *testing.T) {
	for _, profile := range profiles {
		cfg, env := sealing(profile)
		h := startSplit(t, cfg, env, func(o *filtertest.Options) {
			o.RequestSplit = map[string]filtertest.Split{"inline": filtertest.Every(7)}[profile] // where it is gathered
		})
		for i, c := range []struct{ path, body, kind string }{
			{compactPath, hello, "application/json"}, {compactPath, helloStream, "application/json"},
			{"/v1/responses", triggers + "}", "application/json"}, {"/v1/responses", triggers + `,"stream":true}`, "text/event-stream"},
		} {
			h.set(gives(200, "application/json", chatHello), 7)
			got := do(t, h.Host, "POST", c.path, strings.NewReader(c.body))
			require.Equal(t, 200, got.status, got.body)
			require.Equal(t, c.kind, got.header.Get("Content-Type"))
			require.Contains(t, got.body, `"type":"compaction","encrypted_content":"A`)
			wait(t, h.Host)
			require.Equal(t, []int64{7, 3, 2, 0}, perRequest(tokens(h.Host), int64(i+1)))
			require.Len(t, h.up.finished(), 1)
			r, body := h.up.last()
			require.Equal(t, "/v1/chat/completions", r.URL.Path)
			require.NotContains(t, body, `"stream"`)
			require.Contains(t, body, `ello"},{"role":"user","content":"The conversation above`)
		}
		nothingIsHeld(t, h.Host)
	}
}

// An answer is not held to how a request may write its strings and names.
func TestASummaryMayHaveManyEscapes(t *testing.T) {
	cfg, env := sealing("gated", "limits.json_escapes", "100")
	h := startSplit(t, cfg, env)
	h.set(gives(200, "application/json", `{"`+strings.Repeat("a", 2000)+`":1,"choices":[{"message":{"content":"`+strings.Repeat(`a\n`, 200)+`"},"finish_reason":"stop"}]}`), 0)
	got := do(t, h.Host, "POST", compactPath, strings.NewReader(hello))
	require.Equal(t, 200, got.status, got.body)
}

func perRequest(n []int64, requests int64) []int64 {
	for i := range n {
		n[i] /= requests
	}
	return n
}

// What fails at the model server is told as of any other request. An answer whose header
// has left can only be told by what takes its place.
func TestFailedSummariesAreTold(t *testing.T) {
	for _, profile := range profiles {
		cfg, env := sealing(profile, "limits.response_body_bytes", `"4KiB"`)
		h := startSplit(t, cfg, env)
		for name, c := range map[string]struct {
			status int
			body   string
			gated  int
			inline string
		}{
			"too large": {200, `{"choices":[{"message":{"content":"` + strings.Repeat("x", 5<<10) + `"}}]}`, 502, "upstream_invalid_answer"},
			"no JSON":   {200, `{"choices":`, 502, "upstream_invalid_answer"},
			"no text":   {200, `{"choices":[{"message":{"content":""}}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}`, 502, "upstream_invalid_answer"},
			"an error":  {503, `{"error":{"message":"busy"}}`, 503, ""},
		} {
			for _, request := range [][2]string{{compactPath, hello}, {"/v1/responses", triggers + "}"}, {"/v1/responses", triggers + `,"stream":true}`}} {
				t.Run(profile+"/"+name, func(t *testing.T) {
					h.set(gives(c.status, "application/json", c.body), 0)
					before := tokens(h.Host)
					got := do(t, h.Host, "POST", request[0], strings.NewReader(request[1]))
					wait(t, h.Host)
					used := tokens(h.Host)
					if strings.Contains(c.body, "usage") { // what failed has used them all the same
						before[0], before[2] = before[0]+7, before[2]+3
					}
					require.Equal(t, before, used)
					if profile == "gated" || c.status != 200 {
						require.Equal(t, c.gated, got.status, got.body)
						errorOf(t, got.body)
						return
					}
					require.Equal(t, 200, got.status, got.body)
					require.Contains(t, got.body, `"code":"`+c.inline+`"`)
					if strings.Contains(request[1], "stream") {
						require.Contains(t, got.body, "event: response.failed\n")
					} else if request[0] != compactPath {
						require.Contains(t, got.body, `"status":"failed"`)
					}
				})
			}
		}
	}
}

// A route that has another name for the model sends it with the question too.
func TestSummariesAreAskedOfTheRoutesModel(t *testing.T) {
	up := newUpstream(gives(200, "application/json", chatHello))
	_, env := sealing("gated")
	cfg := bytes.Replace(routed("vllm", "gated", "", `[{"name":"a","backends":[{"url":"http://a.example","model":"the model's own name"}]}]`, ""),
		[]byte("{"), []byte(`{"state":{"keys":[{"id":"a","key_env":"`+corpus.KeyVariable+`"}]},`), 1)
	h := start(t, cfg, up, env)
	require.Equal(t, 200, post(t, h, triggers+"}").status)
	_, body := up.last()
	require.Contains(t, body, `{"model":"the model's own name","messages":[{"role":"user","content":"\u0068ello"},{`)
}

// Without keys, or turned off, the answer says what its operator can do.
func TestNothingIsSummedUpWithoutKeys(t *testing.T) {
	for _, profile := range profiles {
		off, env := sealing(profile, "compaction.enabled", "false")
		for name, cfg := range map[string][]byte{"no keys": config("vllm", profile), "turned off": off} {
			h := start(t, cfg, newUpstream(gives(http.StatusTeapot, "text/plain", "")), env)
			got := do(t, h, "POST", compactPath, strings.NewReader(hello))
			require.Equal(t, 404, got.status, name)
			require.Equal(t, "unsupported_endpoint", errorOf(t, got.body).Code)
			require.Contains(t, got.body, "state.keys")
			got = post(t, h, triggers+"}")
			require.Equal(t, 400, got.status, name)
			require.Equal(t, "unsupported_item", errorOf(t, got.body).Code)
			require.Contains(t, got.body, "state.keys")
		}
	}
}
