package server

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// circle is a proxy that nobody knows to lead to a server, which is set later. It counts
// the questions that pass, and not the greetings, which come whenever they want.
func circle(t *testing.T) (at string, to *atomic.Pointer[url.URL], passed *atomic.Int32) {
	to, passed = new(atomic.Pointer[url.URL]), new(atomic.Int32)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to.Load()) }}
	return upstreamOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to.Load() == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if r.Method == http.MethodPost {
			passed.Add(1)
		}
		proxy.ServeHTTP(w, r)
	})), to, passed
}

func closeCircle(t *testing.T, to *atomic.Pointer[url.URL], r *running) {
	u, err := url.Parse(r.url)
	require.NoError(t, err)
	to.Store(u)
}

// A backend that leads back here, by way of another, is told the client: each
// request passes each server once.
func TestLoops(t *testing.T) {
	for name, tiers := range map[string][]config.Provider{
		"a forwarding tier":  {config.VLLMResponses},
		"two of them":        {config.VLLMResponses, config.VLLMResponses},
		"a translating tier": {config.VLLM},
		"one behind another": {config.VLLMResponses, config.VLLM},
	} {
		t.Run(name, func(t *testing.T) {
			backend, to, passed := circle(t)
			var r *running
			for i := len(tiers) - 1; i >= 0; i-- {
				r = start(t, tiers[i], backend)
				backend = r.url
			}
			closeCircle(t, to, r)
			r.log.waitFor(t, "no contact with the upstream yet")
			for _, body := range []string{ask, askStream} {
				before := passed.Load()
				got := r.post(body, "CDN-Loop", "other; a=b")
				require.Equal(t, http.StatusLoopDetected, got.status, got.body)
				typ, _, code := got.errorCode(t)
				require.Equal(t, "server_error", typ)
				require.Equal(t, "loop_detected", code)
				require.EqualValues(t, 1, passed.Load()-before)
			}
			require.GreaterOrEqual(t, r.call("GET", "/v1/models", "").status, 500)
		})
	}
}

// The greeting of a start, with no client at all, does not go round either.
func TestGreetingsDoNotLoop(t *testing.T) {
	backend, to, _ := circle(t)
	r := start(t, config.VLLMResponses, backend)
	closeCircle(t, to, r)
	r.log.waitFor(t, "no contact with the upstream yet", "the backend's address leads back here")
}

func TestHopsArePassedOn(t *testing.T) {
	got := make(chan []string, 10)
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header["Cdn-Loop"]
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(chatWhole))
	}))
	r := start(t, config.VLLM, llm)
	front := r.front()
	require.Equal(t, 200, front.post(ask, "CDN-Loop", "other").status)
	hops := wait(t, got, "the request")
	require.Equal(t, []string{"other, " + front.hop + ", " + r.hop}, hops)
	require.True(t, strings.HasPrefix(r.hop, "antwort-"))
	require.NotEqual(t, r.hop, front.hop)
}

// The server's own address is refused, also one that is known only when it
// listens.
func TestOwnAddressIsNoBackend(t *testing.T) {
	cfg := config.Default()
	cfg.Engine.Provider, cfg.Engine.BackendURL = config.VLLMResponses, "http://127.0.0.1:8080"
	_, err := New(cfg, Options{})
	require.ErrorContains(t, err, "engine.backend_url: http://127.0.0.1:8080 is where this server itself listens")

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	cfg.Server.Port, cfg.Engine.BackendURL = 0, "http://"+ln.Addr().String()
	s, err := New(cfg, Options{})
	require.NoError(t, err)
	require.ErrorContains(t, s.Serve(context.Background(), ln), "is where this server itself listens")
}
