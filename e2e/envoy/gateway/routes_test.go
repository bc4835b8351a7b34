package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
	"antwort/shared/corpus"
)

// site is the backends of some routes: it keeps what reaches which.
type site struct {
	mu      sync.Mutex
	arrived []arrival
	servers map[string]*httptest.Server
}

type arrival struct {
	route  string
	header http.Header
	body   string
}

func newSite(t *testing.T, routes ...string) *site {
	t.Helper()
	s := &site{servers: map[string]*httptest.Server{}}
	for _, route := range routes {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(route, w, r) }))
		t.Cleanup(server.Close)
		s.servers[route] = server
	}
	return s
}

func (s *site) serve(route string, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if r.UserAgent() == "antwort" || strings.HasPrefix(r.URL.Path, "/health") || err != nil {
		return
	}
	s.mu.Lock()
	s.arrived = append(s.arrived, arrival{route, r.Header, string(body)})
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Backend", route)
	_, _ = io.WriteString(w, `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}`)
}

func (s *site) take() []arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	arrived := s.arrived
	s.arrived = nil
	return arrived
}

func (s *site) url(route string) string { return s.servers[route].URL }

// The cases that the policy itself, the native server and the wazero host run
// too, here in Envoy, which does the routing.
func TestRouting(t *testing.T) {
	all, err := corpus.LoadRouting()
	require.NoError(t, err)
	for _, provider := range []string{"vllm", "vllm-responses"} {
		t.Run(provider, func(t *testing.T) {
			s := newSite(t, append(all.Names(), "default")...)
			configure := func(engine string) string {
				var routes json.RawMessage
				require.NoError(t, json.Unmarshal([]byte(all.At(s.url)), &routes))
				return fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: %s%s}\nfilter: {profile: gated}\nauth: %s\nroutes: %s\n",
					provider, engine, compact(t, all.Auth), compact(t, routes))
			}
			run := func(g *gateway.Gateway, unrouted string) {
				for _, c := range all.Cases {
					if c.Only != "" && c.Only != provider {
						continue
					}
					if c.Unrouted {
						c.Route = unrouted
					}
					t.Run(c.Name, func(t *testing.T) {
						s.take()
						got := raw(t, g.URL, string(c.Wire("gateway")))
						arrived := s.take()
						if c.Route == "" {
							require.Empty(t, arrived, "it reached a backend")
							require.Equal(t, c.Status, got.status, got.body)
							code := got.code(t)
							if c.Code != "" {
								require.Equal(t, c.Code, code)
							}
							return
						}
						require.Equal(t, 200, got.status, got.body)
						require.Len(t, arrived, 1)
						require.Equal(t, c.Route, arrived[0].route)
						require.Equal(t, c.Key, arrived[0].header.Get("Authorization"))
						for name := range arrived[0].header {
							if strings.HasPrefix(strings.ReplaceAll(strings.ToLower(name), "_", "-"), "x-antwort-") {
								require.Contains(t, []string{"X-Antwort-Subject", "X-Antwort-Tenant"}, name, "a forged field passed")
							}
						}
						if c.Method == "POST" {
							var asked, sent struct{ Model *string }
							require.NoError(t, json.Unmarshal([]byte(arrived[0].body), &sent), arrived[0].body)
							require.NoError(t, json.Unmarshal([]byte(c.Body), &asked))
							if c.Sent != "" {
								asked.Model = &c.Sent
							}
							require.Equal(t, asked.Model, sent.Model)
						}
					})
				}
			}
			g := gateway.Start(t, configure(""), "KEYED_ROUTE_KEY=keyed-route-key").Ready()
			run(g, "")
			g.Write(configure(fmt.Sprintf(", backend_url: %q", s.url("default"))))
			g.Logged(1, "the changed configuration is in force")
			run(g, "default")
			for _, line := range g.Log() {
				assert.NotContains(t, line, "keyed-route-key", "a key is in the log")
				assert.NotContains(t, line, `"level":"ERROR"`)
			}
		})
	}
}
