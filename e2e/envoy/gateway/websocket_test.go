package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
	"antwort/server/mockllm"
)

// socket is a client's WebSocket.
type socket struct {
	*websocket.Conn
	t *testing.T
}

// dial asks for a WebSocket; fields are header names and values in turn.
func dial(t *testing.T, url string, fields ...string) (*socket, *http.Response, error) {
	t.Helper()
	h := http.Header{}
	for i := 0; i < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, strings.Replace(url, "http", "ws", 1)+"/v1/responses", &websocket.DialOptions{HTTPHeader: h}) //nolint:bodyclose // there is none, or refusal reads it
	if err != nil {
		return nil, resp, err
	}
	conn.SetReadLimit(-1)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &socket{conn, t}, resp, nil
}

// refusal is the status and the code that a request for a WebSocket is refused with.
func refusal(t *testing.T, url string, fields ...string) []any {
	t.Helper()
	_, resp, err := dial(t, url, fields...)
	require.Error(t, err)
	require.NotNil(t, resp, err)
	got := read(t, resp, nil)
	return []any{got.status, got.code(t)}
}

// turn asks, and returns the id of the response and what it says.
func (s *socket) turn(members string) (id, said string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	require.NoError(s.t, s.Write(ctx, websocket.MessageText, []byte(`{"type":"response.create",`+members+`}`)))
	for {
		_, text, err := s.Read(ctx)
		require.NoError(s.t, err)
		var m struct {
			Type     string
			Response struct {
				ID     string
				Output []struct{ Content []struct{ Text string } }
			}
		}
		require.NoError(s.t, json.Unmarshal(text, &m))
		require.NotEqual(s.t, "error", m.Type, string(text))
		if m.Type == "response.completed" {
			return m.Response.ID, m.Response.Output[0].Content[0].Text
		}
	}
}

// A WebSocket passes through Envoy to an antwort serve, which is told who calls; nobody
// else gets through, and silence does not end it.
func TestWebSocket(t *testing.T) {
	model := httptest.NewServer(mockllm.New(mockllm.Options{}))
	t.Cleanup(model.Close)
	backend := startBackend(t, fmt.Sprintf("engine: {provider: vllm, backend_url: %q, default_model: /mnt/models}\nstate: {type: memory}\n"+
		"auth: {type: api_key, api_keys: [{sha256: %q, subject: front, delegate: true}]}\n", model.URL, digest("front-key")))
	for _, profile := range []string{"inline", "gated"} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			few := ""
			if profile == "gated" {
				few = fmt.Sprintf(", {sha256: %q, subject: carol, models: [m]}", digest("carol-key"))
			}
			g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: 0, drain_timeout: 1s}\nfilter: {profile: %s}\n"+
				"engine: {provider: vllm-responses, backend_url: %q, api_key_env: FRONT_KEY, response_timeout: 1s, stream_idle_timeout: 1s}\n"+
				"auth: {type: api_key, api_keys: [{sha256: %q, subject: alice, tenant: team-a}, {sha256: %q, subject: bob, tenant: team-b}%s]}\n",
				profile, backend, digest("alice-key"), digest("bob-key"), few), "FRONT_KEY=front-key").Ready()

			s, resp, err := dial(t, g.URL, "Authorization", "Bearer alice-key", "X-Antwort-Subject", "bob", "X_Antwort_Tenant", "team-b", "X-Antwort-Tenant", "team-b")
			require.NoError(t, err)
			assert.NotEmpty(t, resp.Header.Get("X-Request-Id"))
			id, _ := s.turn(`"input":"one","store":false`)
			id, said := s.turn(`"input":"two","store":false,"previous_response_id":"` + id + `"`)
			assert.Contains(t, said, `1 user: "one"`)
			assert.Contains(t, said, `3 user: "two"`)
			id, _ = s.turn(`"input":"three","previous_response_id":"` + id + `"`)
			alice, bob := &caller{t: t, url: g.URL, name: "alice"}, &caller{t: t, url: g.URL, name: "bob"}
			assert.Equal(t, 200, alice.ask("GET", "/"+id, "").status, "it is of who has the key")
			assert.Equal(t, 404, bob.ask("GET", "/"+id, "").status, "and not of who it claimed to be")

			assert.Equal(t, []any{401, "missing_api_key"}, refusal(t, g.URL))
			assert.Equal(t, []any{401, "invalid_api_key"}, refusal(t, g.URL, "Authorization", "Bearer front-key"))
			assert.Equal(t, []any{403, "origin_not_allowed"}, refusal(t, g.URL, "Authorization", "Bearer alice-key", "Origin", "https://page.example"))
			if few != "" {
				assert.Equal(t, []any{403, "websocket_unsupported"}, refusal(t, g.URL, "Authorization", "Bearer carol-key"))
			}

			time.Sleep(2500 * time.Millisecond) // longer than silence may last on a stream
			_, said = s.turn(`"input":"still there?","previous_response_id":"` + id + `"`)
			assert.Contains(t, said, "still there?")
			if !testing.Short() { // the server looks every 20 s whether the client is there
				quiet, _, err := dial(t, g.URL, "Authorization", "Bearer alice-key")
				require.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), 70*time.Second)
				defer cancel()
				closed := quiet.CloseRead(ctx)
				<-closed.Done()
				require.Error(t, ctx.Err(), "it was closed before")
			}

			last, _, err := dial(t, g.URL, "Authorization", "Bearer alice-key")
			require.NoError(t, err)
			last.turn(`"input":"one"`)
			g.Signal(syscall.SIGTERM)
			_, _, err = last.Read(t.Context())
			assert.Error(t, err)
			assert.Zero(t, g.Wait())
			g.Logged(1, `"route":"websocket"`, `"status":101`, `"subject":"alice"`, `"tenant":"team-a"`)
		})
	}
}

// What comes before a backend speaks WebSocket is not for it: a backend that speaks HTTP
// would take it for a request that nobody has looked at.
func TestNothingIsSmuggledByAnUpgrade(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		seen[r.URL.Path]++
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"object":"list","data":[]}`)
	}))
	t.Cleanup(backend.Close)
	for name, more := range map[string]string{
		"one backend": "",
		"routes":      fmt.Sprintf("routes: [{name: a, match: {headers: {x-way: a}}, backends: [{url: %q}]}]\n", backend.URL),
	} {
		t.Run(name, func(t *testing.T) {
			g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nfilter: {profile: gated}\nengine: {provider: vllm-responses, backend_url: %q}\n%s", backend.URL, more)).Ready()
			const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
			raw(t, g.URL, "GET /v1/responses HTTP/1.1\r\nHost: gateway\r\n"+upgrade+"\r\n") // gets to the backend: nothing follows it
			for _, path := range []string{"/v1/responses", "/v1/responses/resp_1", "/v1/models", "/v1/conversations", "/healthz", "/readyz", "/metrics", "/elsewhere"} {
				for _, method := range []string{"GET", "POST"} {
					for _, way := range []string{"", "X-Way: a\r\n"} {
						got := raw(t, g.URL, method+" "+path+" HTTP/1.1\r\nHost: gateway\r\n"+upgrade+way+"\r\n"+
							"GET /smuggled HTTP/1.1\r\nHost: gateway\r\n\r\n")
						if path != "/v1/responses" && path != "/elsewhere" || method != "GET" {
							assert.Contains(t, []int{404, 426}, got.status, "%s %s: %s", method, path, got.body)
						}
					}
				}
			}
			assert.Equal(t, 200, get(t, g.URL+"/v1/models").status)
			mu.Lock()
			defer mu.Unlock()
			assert.Zero(t, seen["/smuggled"])
			assert.Positive(t, seen["/v1/responses"])
			assert.Zero(t, seen["/v1/responses/resp_1"])
			clear(seen)
		})
	}
}

// Where nobody behind speaks WebSocket, or the model decides, clients are sent to HTTP.
func TestNoWebSocket(t *testing.T) {
	model := httptest.NewServer(mockllm.New(mockllm.Options{}))
	t.Cleanup(model.Close)
	for name, config := range map[string]string{
		"translates":     "engine: {provider: vllm, backend_url: %q}\n",
		"turned off":     "engine: {provider: vllm-responses, backend_url: %q}\nwebsocket: {enabled: false}\n",
		"over HTTP/2":    "engine: {provider: vllm-responses, backend_url: %q, protocol: http2}\n",
		"model decides":  "engine: {provider: vllm-responses, backend_url: %[1]q}\nfilter: {profile: gated}\nroutes: [{name: a, match: {models: [a]}, backends: [{url: %[1]q}]}]\n",
		"another's name": "engine: {provider: vllm-responses}\nfilter: {profile: gated}\nroutes: [{name: a, backends: [{url: %q, model: b}]}]\n",
	} {
		t.Run(name, func(t *testing.T) {
			g := gateway.Start(t, "server: {host: 127.0.0.1, port: 0}\n"+fmt.Sprintf(config, model.URL)).Listening()
			assert.Equal(t, []any{426, "websocket_unsupported"}, refusal(t, g.URL))
		})
	}
}
