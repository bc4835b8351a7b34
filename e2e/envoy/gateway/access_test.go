package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
	"antwort/shared/corpus"
)

// arrivals is a backend of either API that keeps the requests that reach it
// whole, those of the gateway's own contact aside.
type arrivals struct {
	mu      sync.Mutex
	seen    []http.Header
	release chan struct{} // ends streams
}

func (a *arrivals) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if r.UserAgent() == "antwort" || strings.HasPrefix(r.URL.Path, "/health") || err != nil {
		return
	}
	a.mu.Lock()
	a.seen = append(a.seen, r.Header)
	a.mu.Unlock()
	if strings.Contains(string(body), `"stream":true`) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{}}\n\n")
		w.(http.Flusher).Flush()
		<-a.release
		fmt.Fprint(w, "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":1,\"response\":{}}\n\ndata: [DONE]\n\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}`)
}

func (a *arrivals) take() []http.Header {
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := a.seen
	a.seen = nil
	return seen
}

// The cases that the policy itself, the native server and the wazero host run
// too, here in Envoy. Envoy itself refuses some of the odd requests, and writes
// paths in one way before the filter sees them; what counts is that nothing
// gets through that should not, and nothing is refused that should.
func TestAccess(t *testing.T) {
	all, err := corpus.LoadAccess()
	require.NoError(t, err)
	for _, run := range []struct{ provider, profile string }{{"vllm", "inline"}, {"vllm-responses", "gated"}} {
		t.Run(run.provider+" "+run.profile, func(t *testing.T) {
			up := &arrivals{release: make(chan struct{})}
			backend := httptest.NewServer(up)
			t.Cleanup(backend.Close)
			configure := func(auth string) string {
				return fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: %s, backend_url: %q}\nfilter: {profile: %s}\nauth: %s\n",
					run.provider, backend.URL, run.profile, auth)
			}
			g := gateway.Start(t, configure(compact(t, all.Auth)), "CAROLS_KEY=carol-key-5be80a16", "NEW_KEY=new-key-0c5d9e12").Ready()
			for _, c := range all.Cases {
				if c.Only != "" && c.Only != run.provider {
					continue
				}
				t.Run(c.Name, func(t *testing.T) {
					up.take()
					got := raw(t, g.URL, string(c.Wire("gateway")))
					seen := up.take()
					if c.Envoy == 200 {
						require.Equal(t, 200, got.status, got.body)
						require.Len(t, seen, 1)
						assert.Equal(t, []string{c.Subject}, seen[0]["X-Antwort-Subject"])
						assert.Equal(t, c.Tenant, strings.Join(seen[0]["X-Antwort-Tenant"], ","))
						assert.Empty(t, seen[0]["Authorization"])
						assert.Empty(t, seen[0]["X-Api-Key"])
						assert.NotContains(t, fmt.Sprint(seen[0]), "root", "a forged identity passed")
						return
					}
					require.Empty(t, seen, "it reached the backend")
					probe := slices.Contains([]string{"//healthz"}, c.Target) // which Envoy makes /healthz of
					if got.status == c.Envoy || probe {
						return
					}
					require.Contains(t, []int{400, 403, 404}, got.status, got.body)
					got.code(t)
				})
			}
			for _, path := range []string{"/healthz", "/health", "/readyz", "/metrics"} {
				assert.Equal(t, 200, get(t, g.URL+path).status, path)
				assert.Empty(t, up.take())
			}
			line := g.Logged(1, `"subject":"alice"`, `"tenant":"team-a"`, `"status":200`)
			assert.NotContains(t, line, "key")
			for _, line := range g.Log() {
				assert.NotContains(t, line, "-key-", "a key is in the log")
				assert.NotContains(t, line, "root", "a forged identity is in the log")
			}
			if run.provider == "vllm-responses" {
				exchangeKeys(t, g, up, configure)
			}
		})
	}
}

// exchangeKeys: a key comes and one goes, with a stream in flight.
func exchangeKeys(t *testing.T, g *gateway.Gateway, up *arrivals, configure func(string) string) {
	status := func(key string) int {
		req, err := http.NewRequest("POST", g.URL+"/v1/responses", strings.NewReader(`{"model":"m","input":"x"}`))
		require.NoError(t, err)
		req.Header.Set("X-Api-Key", key)
		resp, err := http.DefaultClient.Do(req)
		return read(t, resp, err).status
	}
	req, err := http.NewRequest("POST", g.URL+"/v1/responses", strings.NewReader(`{"model":"m","input":"x","stream":true}`))
	require.NoError(t, err)
	req.Header.Set("X-Api-Key", "alice-key-2f9a41c7")
	stream, err := newClient(t).Do(req)
	require.NoError(t, err)
	require.Equal(t, 200, stream.StatusCode)

	require.Equal(t, 401, status("new-key-0c5d9e12"))
	g.Write(configure(`{type: api_key, api_keys: [{key_env: CAROLS_KEY, subject: carol}, {key_env: NEW_KEY, subject: new}]}`))
	g.Logged(1, "the changed configuration is in force")
	assert.Equal(t, 200, status("new-key-0c5d9e12"))
	assert.Equal(t, 200, status("carol-key-5be80a16"))
	assert.Equal(t, 401, status("alice-key-2f9a41c7"))

	g.Write(configure(`{type: api_key, api_keys: [{key_env: CAROLS_KEY, subject: carol}, {key: new-key-0c5d9e12, subject: new}]}`))
	g.Logged(1, "the old one stays in force", "auth.api_keys[1].key")
	assert.Equal(t, 200, status("new-key-0c5d9e12"))
	for _, line := range g.Log() {
		assert.NotContains(t, line, "new-key-0c5d9e12")
	}
	close(up.release)
	body, err := io.ReadAll(stream.Body)
	require.NoError(t, err)
	assert.Contains(t, string(body), "response.completed")
}

// compact is JSON on one line.
func compact(t *testing.T, text json.RawMessage) string {
	t.Helper()
	b, err := json.Marshal(text)
	require.NoError(t, err)
	return string(b)
}
