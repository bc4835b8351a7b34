package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
	"antwort/server/mockllm"
)

// The endpoints that engine.pass names reach the backend byte for byte, with each
// provider and profile; tokens are counted, keys hold, and nothing else is open.
func TestPass(t *testing.T) {
	mock := mockllm.New(mockllm.Options{})
	var busy bool
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/chat/completions" || r.URL.Path == "/v1/models" {
			mock.ServeHTTP(w, r)
			return
		}
		if r.Header.Get("X-Try-Again") != "" && !busy {
			busy = true
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Received", r.Method+" "+r.URL.String()+" key="+r.Header.Get("Authorization")+r.Header.Get("X-Api-Key"))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"got":%q,"usage":{"prompt_tokens":7,"total_tokens":7}}`, body)
	}))
	defer backend.Close()
	for _, c := range []struct{ provider, profile, key string }{{"vllm", "inline", ""}, {"vllm", "gated", ""}, {"vllm-responses", "inline", "mine"}} {
		t.Run(c.provider+" "+c.profile, func(t *testing.T) {
			busy = false
			g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nfilter: {profile: %s}\n"+
				"engine: {provider: %s, backend_url: %q, pass: [chat/completions, embeddings, audio/*, tokenize], retry: {base_delay: 1ms}}\n", c.profile, c.provider, backend.URL)).Ready()
			send := func(method, path, kind, body string, fields ...string) answer {
				req, err := http.NewRequest(method, g.URL+path, strings.NewReader(body))
				require.NoError(t, err)
				req.Header.Set("Content-Type", kind)
				for i := 0; i < len(fields); i += 2 {
					req.Header.Set(fields[i], fields[i+1])
				}
				resp, err := http.DefaultClient.Do(req)
				return read(t, resp, err)
			}
			const body = `{ "model":"m",  "input":"a\u0041" }`
			for _, r := range [][4]string{
				{"POST", "/v1/embeddings?x=1", "application/json", body},
				{"POST", "/tokenize", "application/json", body},
				{"POST", "/v1/audio/transcriptions", "multipart/form-data; boundary=b", "--b\r\n\r\nx\r\n--b--\r\n"},
				{"GET", "/v1/audio/voices", "", ""},
			} {
				got := send(r[0], r[1], r[2], r[3], "X-Api-Key", "mine")
				require.Equal(t, http.StatusOK, got.status, got.body)
				assert.Equal(t, r[0]+" "+r[1]+" key="+c.key, got.header.Get("X-Received"))
				assert.Contains(t, got.body, fmt.Sprintf("%q", r[3]))
			}
			if c.provider == "vllm" {
				got := send("POST", "/v1/embeddings", "application/json", body, "X-Try-Again", "1")
				assert.Equal(t, http.StatusOK, got.status, got.body)
			}
			for _, stream := range []string{"", `,"stream":true,"stream_options":{"include_usage":true}`} {
				got := send("POST", "/v1/chat/completions", "application/json", `{"model":"/mnt/models","messages":[{"role":"user","content":"hi"}]`+stream+`}`)
				require.Equal(t, http.StatusOK, got.status, got.body)
				assert.Contains(t, got.body, `"object":"chat.completion`)
			}
			for _, path := range []string{"/v1/completions", "/v1/files", "/v1/chat/completions/", "/v1/audio", "/v1/embeddings/x"} {
				got := send("POST", path, "application/json", body)
				assert.Equal(t, http.StatusNotFound, got.status, path)
			}
			assert.Equal(t, http.StatusMethodNotAllowed, send("OPTIONS", "/v1/embeddings", "", "").status)
			metrics := get(t, g.URL+"/metrics").body
			assert.Regexp(t, `tokens_total\{[^}]*kind="input"[^}]*\} [1-9]`, metrics)
			assert.Regexp(t, `tokens_total\{[^}]*kind="output"[^}]*\} [1-9]`, metrics)
			if c.provider == "vllm" {
				got := post(t, g.URL+"/v1/responses", `{"model":"/mnt/models","input":"hi"}`)
				assert.Equal(t, http.StatusOK, got.status, got.body)
				assert.Contains(t, got.body, `"object":"response"`)
			}
		})
	}
}

// A key for certain models reaches passed endpoints with those models only.
func TestPassWithRestrictedKey(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}))
	defer backend.Close()
	g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nfilter: {profile: gated}\n"+
		"engine: {provider: vllm, backend_url: %q, pass: [embeddings, audio/*]}\n"+
		"auth: {type: api_key, api_keys: [{key_env: THE_KEY, subject: alice, models: [small]}]}\n", backend.URL), "THE_KEY=the-key").Ready()
	send := func(method, path, kind, body string) answer {
		req, err := http.NewRequest(method, g.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", kind)
		req.Header.Set("Authorization", "Bearer the-key")
		resp, err := http.DefaultClient.Do(req)
		return read(t, resp, err)
	}
	got := send("POST", "/v1/embeddings", "application/json", `{"model":"small"}`)
	assert.Equal(t, http.StatusOK, got.status, got.body)
	assert.Equal(t, `{"model":"small"}`, got.body)
	assert.Equal(t, http.StatusNotFound, send("POST", "/v1/embeddings", "application/json", `{"model":"large"}`).status)
	assert.Equal(t, http.StatusBadRequest, send("POST", "/v1/embeddings", "application/json", `{}`).status)
	assert.Equal(t, http.StatusUnsupportedMediaType, send("POST", "/v1/audio/transcriptions", "multipart/form-data; boundary=b", "--b--\r\n").status)
	assert.Equal(t, http.StatusBadRequest, send("GET", "/v1/audio/voices", "", "").status)
}
