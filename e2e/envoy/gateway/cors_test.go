package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
	"antwort/server/mockllm"
)

// Pages in browsers use the gateway: Envoy answers preflights without a key and
// says of every answer, its own replies and the filter's included, that the page
// may read it. Another configuration lets other pages in.
func TestCORS(t *testing.T) {
	mock := httptest.NewServer(mockllm.New(mockllm.Options{}))
	defer mock.Close()
	configure := func(origin string) string {
		return fmt.Sprintf("server: {host: 127.0.0.1, port: 0, cors: {allowed_origins: [%q]}}\nengine: {provider: vllm, backend_url: %q}\n"+
			"auth: {type: api_key, api_keys: [{key_env: THE_KEY, subject: alice}]}\n", origin, mock.URL)
	}
	const page = "https://chat.example"
	g := gateway.Start(t, configure(page), "THE_KEY=the-key").Ready()
	ask := func(method, path, origin, body string, fields ...string) answer {
		req, err := http.NewRequest(method, g.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Origin", origin)
		for i := 0; i < len(fields); i += 2 {
			req.Header.Set(fields[i], fields[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		return read(t, resp, err)
	}
	key := []string{"Authorization", "Bearer the-key", "Content-Type", "application/json"}
	preflight := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type,x-stainless-lang"}

	got := ask(http.MethodOptions, "/v1/responses", page, "", preflight...)
	assert.Equal(t, http.StatusOK, got.status, got.body)
	assert.Equal(t, page, got.header.Get("Access-Control-Allow-Origin"))
	assert.Contains(t, got.header.Get("Access-Control-Allow-Headers"), "authorization")
	assert.Contains(t, got.header.Get("Access-Control-Allow-Methods"), "POST")
	for name, c := range map[string]struct {
		method, path, body string
		fields             []string
		status             int
	}{
		"an answer":         {http.MethodPost, "/v1/responses", `{"model":"/mnt/models","input":"hi"}`, key, http.StatusOK},
		"a stream":          {http.MethodPost, "/v1/responses", `{"model":"/mnt/models","input":"hi","stream":true}`, key, http.StatusOK},
		"no key":            {http.MethodPost, "/v1/responses", `{}`, nil, http.StatusUnauthorized},
		"the filter's word": {http.MethodPost, "/v1/responses", `{"model":"/mnt/models","input":"hi","temperature":9}`, key, http.StatusBadRequest},
		"Envoy's word":      {http.MethodPost, "/v1/chat/completions", `{}`, key, http.StatusNotFound},
		"the model's word":  {http.MethodPost, "/v1/responses", `{"model":"other","input":"hi"}`, key, http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			got := ask(c.method, c.path, page, c.body, c.fields...)
			assert.Equal(t, c.status, got.status, got.body)
			assert.Equal(t, []string{page}, got.header.Values("Access-Control-Allow-Origin"))
			assert.Contains(t, got.header.Get("Access-Control-Expose-Headers"), "x-request-id")
			got = ask(c.method, c.path, "https://evil.example", c.body, c.fields...)
			assert.Equal(t, c.status, got.status, got.body)
			assert.Empty(t, got.header.Get("Access-Control-Allow-Origin"))
		})
	}
	got = ask(http.MethodOptions, "/v1/responses", "https://evil.example", "", preflight...)
	assert.Equal(t, http.StatusUnauthorized, got.status, got.body)
	assert.Empty(t, got.header.Get("Access-Control-Allow-Origin"))

	g.Write(configure("*"))
	g.Logged(1, "the changed configuration is in force")
	got = ask(http.MethodOptions, "/v1/responses", "https://evil.example", "", preflight...)
	assert.Equal(t, http.StatusOK, got.status, got.body)
	assert.Equal(t, "https://evil.example", got.header.Get("Access-Control-Allow-Origin"))
}
