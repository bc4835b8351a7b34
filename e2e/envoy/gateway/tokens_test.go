package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
	"antwort/shared/corpus"
)

// keyServer gives out an issuer's keys.
type keyServer struct {
	*httptest.Server
	mu     sync.Mutex
	keys   []byte // nil: 503
	asked  int
	change sync.Cond
}

func newKeyServer(t *testing.T, keys []byte) *keyServer {
	t.Helper()
	k := &keyServer{keys: keys}
	k.change.L = &k.mu
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.asked++
		k.change.Broadcast()
		if k.keys == nil || r.URL.String() != "/jwks?v=1" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write(k.keys) // who has gone needs no answer
	}))
	t.Cleanup(k.Close)
	return k
}

func (k *keyServer) set(keys []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = keys
}

// fetched waits until the keys were asked for n more times.
func (k *keyServer) fetched(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for end := k.asked + n; k.asked < end; {
		k.change.Wait()
	}
}

func issuers(t *testing.T) (*corpus.Tokens, *corpus.Issuer, *corpus.Issuer) {
	t.Helper()
	all, err := corpus.LoadTokens()
	require.NoError(t, err)
	one, err := corpus.NewIssuer()
	require.NoError(t, err)
	other, err := corpus.NewIssuer()
	require.NoError(t, err)
	return all, one, other
}

// withKeys is the section auth of the corpus with a place of the keys.
func withKeys(t *testing.T, all *corpus.Tokens, key, value string) string {
	t.Helper()
	return strings.Replace(compact(t, all.Auth), `"jwt":{`, fmt.Sprintf(`"jwt":{%q:%q,`, key, value), 1)
}

// The cases that the policy, the native server and the wazero host run too, here
// with Envoy's own verifier in front of the filter.
func TestTokens(t *testing.T) {
	all, issuer, _ := issuers(t)
	for _, run := range []struct{ provider, profile string }{{"vllm", "inline"}, {"vllm-responses", "gated"}} {
		t.Run(run.provider+" "+run.profile, func(t *testing.T) {
			up := &arrivals{release: make(chan struct{})}
			backend := httptest.NewServer(up)
			t.Cleanup(backend.Close)
			keys := newKeyServer(t, issuer.JWKS())
			g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: %s, backend_url: %q}\nfilter: {profile: %s}\nauth: %s\n",
				run.provider, backend.URL, run.profile, withKeys(t, all, "jwks_url", keys.URL+"/jwks?v=1"))).Ready()
			for i := range all.Cases {
				c := &all.Cases[i]
				t.Run(c.Name, func(t *testing.T) {
					up.take()
					r := c.Request(issuer)
					got := raw(t, g.URL, string(r.Wire("gateway")))
					seen := up.take()
					if c.Status == 200 {
						require.Equal(t, 200, got.status, got.body)
						require.Len(t, seen, 1)
						assert.Equal(t, []string{c.Subject}, seen[0]["X-Antwort-Subject"])
						assert.Equal(t, c.Tenant, strings.Join(seen[0]["X-Antwort-Tenant"], ","))
						assert.Empty(t, seen[0]["Authorization"], "the token is not for the upstream")
						assert.NotContains(t, fmt.Sprint(seen[0]), "root", "a forged identity passed")
						return
					}
					require.Empty(t, seen, "it reached the backend")
					if slices.Contains([]int{400, 404}, got.status) && c.Target != "/v1/responses" {
						got.code(t) // Envoy refuses such paths at once
						return
					}
					require.Equal(t, c.Status, got.status, got.body)
					code := got.code(t)
					// A token where Envoy does not look for one is none for it.
					if c.Code == "invalid_token" && code == "missing_token" && c.RefusedBy == "verifier" {
						code = c.Code
					}
					require.Equal(t, c.Code, code, got.body)
					require.True(t, strings.HasPrefix(got.header.Get("Www-Authenticate"), "Bearer"), got.header)
				})
			}
			for _, path := range []string{"/healthz", "/health", "/readyz", "/metrics"} {
				assert.Equal(t, 200, get(t, g.URL+path).status, path)
			}
			line := g.Logged(1, `"subject":"alice"`, `"tenant":"team-a"`, `"status":200`)
			assert.NotContains(t, line, "eyJ")
			for _, line := range g.Log() {
				assert.NotContains(t, line, "eyJ", "a token is in the log")
			}
		})
	}
}

// While the keys cannot be had nobody gets in, and it is not the callers' fault;
// once they can, everybody does. What was had is kept.
func TestKeysThatCannotBeHad(t *testing.T) {
	all, issuer, next := issuers(t)
	up := &arrivals{release: make(chan struct{})}
	backend := httptest.NewServer(up)
	t.Cleanup(backend.Close)
	keys := newKeyServer(t, nil)
	auth := strings.Replace(withKeys(t, all, "jwks_url", keys.URL+"/jwks?v=1"), `"jwt":{`, `"jwt":{"jwks_refresh":"10s",`, 1)
	g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm-responses, backend_url: %q}\nauth: %s\n", backend.URL, auth)).Ready()
	r := all.Cases[0].Request(issuer) // always the same token
	send := func() answer {
		return raw(t, g.URL, string(r.Wire("gateway")))
	}
	got := send()
	require.Equal(t, 503, got.status, got.body)
	require.Equal(t, "auth_unavailable", got.code(t))
	require.Equal(t, "5", got.header.Get("Retry-After"))
	require.Empty(t, up.take())

	assert.NotContains(t, g.Logged(1, "Jwks async fetching", "failed"), "v=1", "the query may have a key")

	keys.set(issuer.JWKS())
	keys.fetched(1) // without a request that needs them: for all workers
	all200 := func() bool {
		for range 10 {
			if send().status != 200 {
				return false
			}
		}
		return true
	}
	require.Eventually(t, all200, time.Minute, 100*time.Millisecond)
	keys.set(nil)
	keys.fetched(2)
	require.True(t, all200(), "keys that were there are kept")

	keys.set(next.JWKS())
	keys.fetched(1)
	require.Eventually(t, func() bool { return send().status == 401 }, 5*time.Second, 100*time.Millisecond,
		"a token that was good is remembered after its key was withdrawn")
	for range 10 {
		require.Equal(t, 401, send().status)
	}
}

// Keys in a file are exchanged while a client keeps its connection.
func TestKeysInAFile(t *testing.T) {
	all, issuer, next := issuers(t)
	up := &arrivals{release: make(chan struct{})}
	backend := httptest.NewServer(up)
	t.Cleanup(backend.Close)
	file := filepath.Join(t.TempDir(), "jwks.json")
	write := func(text []byte) {
		require.NoError(t, os.WriteFile(file+".new", text, 0o600))
		require.NoError(t, os.Rename(file+".new", file))
	}
	write(issuer.JWKS())
	g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm-responses, backend_url: %q}\nauth: %s\n",
		backend.URL, withKeys(t, all, "jwks_file", file))).Ready()
	client := newClient(t)
	send := func(issuer *corpus.Issuer) int {
		req, err := http.NewRequest("POST", g.URL+"/v1/responses", strings.NewReader(`{"model":"m","input":"x"}`))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+issuer.Token(&all.Cases[0]))
		resp, err := client.Do(req)
		return read(t, resp, err).status
	}
	require.Equal(t, 200, send(issuer))
	require.Equal(t, 401, send(next))
	write(next.JWKS())
	g.Logged(1, "the changed configuration is in force")
	require.Equal(t, 200, send(next))
	require.Equal(t, 401, send(issuer))
	write([]byte("not JSON"))
	g.Logged(1, "the old one stays in force")
	require.Equal(t, 200, send(next))
}
