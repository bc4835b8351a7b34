package server

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/shared/config"
)

// telling answers with what it received: method, target, credential, body.
func telling(usage string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Received", fmt.Sprintf("%s %s key=%s", r.Method, r.URL, r.Header.Get("Authorization")))
		fmt.Fprintf(w, `{"got":%q%s}`, body, usage)
	}
}

func passing(names ...string) func(*config.Config) {
	return func(c *config.Config) { c.Engine.Pass = names }
}

// The endpoints that engine.pass names reach the backend byte for byte, whatever
// its provider, and nothing else does.
func TestPass(t *testing.T) {
	llm := upstreamOf(t, telling(`,"usage":{"prompt_tokens":7,"total_tokens":7}`))
	back := start(t, config.VLLM, llm, passing("chat/completions", "embeddings", "audio/*", "tokenize"))
	front := back.front(passing("chat/completions", "embeddings", "audio/*", "tokenize"))
	const body = `{ "model":"m",  "input":"a\u0041" }`
	for name, r := range map[string]*running{"backend": back, "chain": front} {
		for _, c := range []struct{ method, path, kind, body string }{
			{"POST", "/v1/chat/completions", "application/json", body},
			{"POST", "/v1/embeddings?x=1", "application/json", body},
			{"POST", "/tokenize", "application/json", body},
			{"POST", "/v1/tokenize", "application/json", body},
			{"POST", "/v1/audio/transcriptions", "multipart/form-data; boundary=b", "--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b--\r\n"},
			{"GET", "/v1/audio/voices", "", ""},
		} {
			t.Run(name+" "+c.method+" "+c.path, func(t *testing.T) {
				resp, got := fromPage(t, c.method, r.url+c.path, "", c.body, "Content-Type", c.kind, "Authorization", "Bearer mine")
				require.Equal(t, 200, resp.StatusCode, got)
				assert.Equal(t, c.method+" "+c.path+" key=", resp.Header.Get("X-Received"))
				assert.Contains(t, got, fmt.Sprintf("%q", c.body))
			})
		}
		for _, path := range []string{"/v1/completions", "/v1/files", "/v1/chat/completions/", "/v1/audio", "/v1/audio/", "/v1/audio/../files", "/v1/audio/%2e%2e/files", "/v1/audio//x", "/embeddings/x"} {
			req, err := http.NewRequest(http.MethodPost, r.url, strings.NewReader(body))
			require.NoError(t, err)
			req.URL.Opaque = path
			resp, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			resp.Body.Close()
			assert.Equal(t, 404, resp.StatusCode, path)
		}
	}
	line := back.log.waitFor(t, `"path":"/v1/embeddings"`)
	assert.EqualValues(t, 7, line["input_tokens"])
	assert.Equal(t, "m", line["model"])
	resp, got := fromPage(t, http.MethodOptions, back.url+"/v1/embeddings", "", "")
	assert.Equal(t, 405, resp.StatusCode, got)
}

// A stream passes as it comes, and its usage is counted.
func TestPassedStream(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	direct := start(t, config.VLLM, llm, passing("chat/completions"))
	for name, r := range map[string]*running{"backend": direct, "chain": direct.front(passing("chat/completions"))} {
		t.Run(name, func(t *testing.T) {
			resp, got := fromPage(t, http.MethodPost, r.url+"/v1/chat/completions", "",
				`{"model":"/mnt/models","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true}}`)
			require.Equal(t, 200, resp.StatusCode, got)
			assert.Equal(t, "text/event-stream; charset=utf-8", resp.Header.Get("Content-Type"))
			assert.True(t, strings.HasSuffix(got, "data: [DONE]\n\n"), got)
			assert.Contains(t, got, `"object":"chat.completion.chunk"`)
			line := r.log.waitFor(t, `"path":"/v1/chat/completions"`)
			assert.Equal(t, true, line["stream"])
			assert.Positive(t, line["output_tokens"])

			_, err := http.Post(r.url+"/v1/chat/completions", "application/json",
				strings.NewReader(`{"model":"/mnt/models","messages":[{"role":"user","content":"mock: cut-after=3\nhi"}],"stream":true}`))
			require.NoError(t, err)
			r.log.waitFor(t, `"path":"/v1/chat/completions"`, `"failure":"upstream_cut"`)
		})
	}
}

// Routes by model, the names that backends have for it, keys and retries hold for
// passed endpoints too.
func TestPassIsRouted(t *testing.T) {
	busy := atomic.Int64{}
	first := upstreamOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && busy.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		telling("")(w, r)
	}))
	second := upstreamOf(t, telling(""))
	r := start(t, config.VLLM, "", passing("embeddings", "audio/*"), withKeyFor(), func(c *config.Config) {
		c.Engine.BackendURL = ""
		c.Auth.APIKeys[0].Models = []string{"small", "large"}
		for model, url := range map[string]string{"small": first, "large": second} {
			c.Routes = append(c.Routes, config.Route{Name: model, Match: config.Match{Models: []string{model}}, Balance: config.LeastRequest,
				Backends: []config.Backend{{URL: url, Provider: config.VLLM, Weight: 1, Model: "its-" + model, StreamIdleTimeout: guard, ResponseTimeout: guard, ConnectTimeout: guard}}})
		}
	})
	send := func(path, kind, body string) (int, string) {
		resp, got := fromPage(t, http.MethodPost, r.url+path, "", body, "Content-Type", kind, "Authorization", "Bearer the-key")
		return resp.StatusCode, got
	}
	status, got := send("/v1/embeddings", "application/json", `{"model":"small","input":"x"}`)
	assert.Equal(t, 200, status, got)
	assert.Contains(t, got, `its-small`)
	assert.EqualValues(t, 2, busy.Load(), "503 is tried again")
	status, got = send("/v1/embeddings", "application/json", `{"model":"large"}`)
	assert.Equal(t, 200, status, got)
	assert.Contains(t, got, `its-large`)

	status, got = send("/v1/embeddings", "application/json", `{"model":"other"}`)
	assert.Equal(t, 404, status, got)
	status, got = send("/v1/embeddings", "application/json", `{"input":"x"}`)
	assert.Equal(t, 400, status, got)
	status, got = send("/v1/audio/transcriptions", "multipart/form-data; boundary=b", "--b--\r\n")
	assert.Equal(t, 415, status, got)
	assert.Contains(t, got, "the model of /v1/audio/* is read from JSON only")
	resp, got := fromPage(t, http.MethodGet, r.url+"/v1/audio/voices", "", "", "Authorization", "Bearer the-key")
	assert.Equal(t, 400, resp.StatusCode, got)
	resp, got = fromPage(t, http.MethodPost, r.url+"/v1/embeddings", "", `{"model":"small"}`)
	assert.Equal(t, 401, resp.StatusCode, got)
}
