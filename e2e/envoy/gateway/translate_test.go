package gateway_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
	"antwort/server/mockllm"
)

func TestTranslate(t *testing.T) {
	backend := mockllm.New(mockllm.Options{APIKey: "backends-key"})
	mock := httptest.NewServer(backend)
	defer mock.Close()
	g := gateway.Start(t, fmt.Sprintf(`
server: {host: 127.0.0.1, port: 0, drain_timeout: 1s, read_header_timeout: 500ms, read_timeout: 500ms, max_header_bytes: 8KiB}
engine: {provider: vllm, backend_url: %q, default_model: /mnt/models, api_key_env: THE_KEY, response_timeout: 2s, stream_idle_timeout: 2s, retry: {max_attempts: 1}}
`, mock.URL), "THE_KEY=backends-key").Ready()

	t.Run("whole answer", func(t *testing.T) {
		got := post(t, g.URL+"/v1/responses", `{"input":"hi"}`)
		require.Equal(t, http.StatusOK, got.status, got.body)
		assert.Contains(t, got.body, `"object":"response"`)
	})
	t.Run("stream", func(t *testing.T) {
		assert.Empty(t, openStream(t, newClient(t), g.URL, "hi").end())
	})
	t.Run("count of tokens", func(t *testing.T) {
		used := post(t, g.URL+"/v1/responses", `{"input":"how long is this?"}`)
		got := post(t, g.URL+"/v1/responses/input_tokens", `{"input":"how long is this?"}`)
		require.Equal(t, http.StatusOK, got.status, got.body)
		tokens := strings.TrimSuffix(strings.TrimPrefix(got.body, `{"object":"response.input_tokens","input_tokens":`), "}")
		assert.Contains(t, used.body, `"usage":{"input_tokens":`+tokens+`,`)
		got = post(t, g.URL+"/v1/responses/input_tokens", `{"model":"other","input":"x"}`)
		assert.Equal(t, http.StatusNotFound, got.status, got.body)
		assert.Equal(t, "model_not_found", got.code(t))
	})
	t.Run("the key is in no command line and no log", func(t *testing.T) {
		for _, line := range g.Log() {
			assert.NotContains(t, line, "backends-key")
		}
		for _, pid := range []int{g.Pid(), g.Envoy()} {
			assert.NotContains(t, g.CommandLine(pid), "backends-key")
		}
	})
	t.Run("no other way to the model", func(t *testing.T) {
		for _, path := range []string{"/v1/chat/completions", "/v1/%63hat/completions", "//v1/chat//completions", "/v1/chat/completions?x", "/v1/chat/completions/", "/v1/completions", "/v1/embeddings", "/tokenize", "/%74okenize", "//tokenize"} {
			got := post(t, g.URL+path, `{"model":"/mnt/models","messages":[{"role":"user","content":"hi"}]}`)
			assert.Equal(t, http.StatusNotFound, got.status, path)
			assert.Equal(t, "unknown_url", got.code(t), path)
		}
	})
	for name, c := range map[string]struct {
		request string
		status  int
		code    string
	}{
		"both lengths":        {"POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "invalid_request"},
		"no HTTP":             {"HELLO\r\n\r\n", 400, "invalid_request"},
		"no host":             {"GET /v1/models HTTP/1.1\r\n\r\n", 400, "invalid_request"},
		"a long header":       {"GET /v1/models HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 9<<10) + "\r\n\r\n", 431, "header_too_large"},
		"half a header":       {"POST /v1/responses HTTP/1.1\r\nHost: x\r\n", 408, "request_timeout"},
		"half a body":         {"POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{", 408, "request_timeout"},
		"two codings":         {coded(t, "Content-Encoding: gzip, zstd\r\n"), 415, "unsupported_content_encoding"},
		"a coding twice":      {coded(t, "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n"), 415, "unsupported_content_encoding"},
		"a silent backend":    {steered("header-delay=20s"), 504, "upstream_timeout"},
		"a dropped request":   {steered("drop=1"), 502, "upstream_unavailable"},
		"a failing backend":   {steered("status=500"), 500, "upstream_error"},
		"an unknown request":  {"GET /v1/files HTTP/1.1\r\nHost: x\r\n\r\n", 404, "unknown_url"},
		"an old HTTP version": {"GET /v1/models HTTP/1.0\r\n\r\n", 426, "upgrade_required"},
	} {
		t.Run("error: "+name, func(t *testing.T) {
			got := raw(t, g.URL, c.request)
			require.Equal(t, c.status, got.status, got.body)
			assert.Equal(t, c.code, got.code(t))
		})
	}
	// The last steps of its life.
	t.Run("error: backend is down", func(t *testing.T) {
		mock.CloseClientConnections()
		mock.Close()
		got := post(t, g.URL+"/v1/responses", `{"input":"hi"}`)
		require.Equal(t, http.StatusServiceUnavailable, got.status, got.body)
		assert.Equal(t, "upstream_unavailable", got.code(t))
		assert.Equal(t, "5", got.header.Get("Retry-After"))
		assert.Equal(t, http.StatusOK, get(t, g.URL+"/readyz").status, "an outage takes no gateway away")
	})
	t.Run("backend is back", func(t *testing.T) {
		ln, err := net.Listen("tcp", strings.TrimPrefix(mock.URL, "http://"))
		require.NoError(t, err)
		back := &httptest.Server{Listener: ln, Config: &http.Server{Handler: backend}}
		back.Start()
		t.Cleanup(back.Close) // of this subtest: the last requests are below
		assert.Equal(t, http.StatusOK, post(t, g.URL+"/v1/responses", `{"input":"hi"}`).status)
		t.Run("SIGTERM cuts what runs on after drain_timeout", func(t *testing.T) {
			s := openStream(t, newClient(t), g.URL, "mock: tokens=100 delay=100ms")
			g.Signal(syscall.SIGTERM)
			assert.Contains(t, s.end(), "cut after")
			assert.Zero(t, g.Wait())
			g.Logged(1, "the time for draining is over: requests are cut", `"requests":1`)
		})
	})
}

// coded is a request with these fields, of a body that was packed twice.
func coded(t *testing.T, fields string) string {
	body := packed(t, string(packed(t, `{"input":"hi"}`)))
	return fmt.Sprintf("POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s", fields, len(body), body)
}

// steered is a request that steers mock-llm.
func steered(how string) string {
	body := `{"input":"mock: ` + how + `"}`
	return fmt.Sprintf("POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}
