package server

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// admin serves the admin port of r and returns its clients' view.
func admin(t *testing.T, r *running) *running {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.ServeAdmin(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
	})
	return &running{Server: r.Server, first: r.first, t: t, url: "http://" + ln.Addr().String(), addr: ln.Addr().String(), log: r.log, client: http1}
}

func withAdmin(c *config.Config) { c.Server.Admin.Port = 9090 }

func TestAdminPort(t *testing.T) {
	up := upstreamOf(t, &arrivals{})
	r := start(t, config.VLLM, up, withAdmin, withKeys(t, aliceKey("k")))
	ready(t, r)
	a := admin(t, r)
	for path, want := range map[string]string{
		"/healthz": "ok\n", "/health": "ok\n", "/readyz": "ok\n", "/metrics": "antwort_requests_in_flight", "/backends": `"url": "` + up + `"`,
		"/debug/pprof/": "goroutine", "/debug/pprof/goroutine?debug=1": "goroutine profile", "/debug/pprof/cmdline": "server.test",
	} {
		got := a.call("GET", path, "")
		require.Equal(t, 200, got.status, path)
		require.Contains(t, got.body, want, path)
	}
	for _, path := range []string{"/", "/v1/responses", "/v1/models", "/debug", "/backends/"} {
		require.Equal(t, 404, a.call("GET", path, "").status, path)
	}
	require.Equal(t, 405, a.call("POST", "/metrics", "").status)

	for _, path := range []string{"/metrics", "/backends", "/debug/pprof/", "/debug/pprof/cmdline"} {
		require.Equal(t, 401, r.call("GET", path, "").status, path)
		require.Equal(t, 404, r.call("GET", path, "", "Authorization", "Bearer k").status, path)
	}
	for _, path := range []string{"/healthz", "/health", "/readyz"} {
		require.Equal(t, 200, r.call("GET", path, "").status, "the kubelet asks for %s on the main port", path)
	}
}

func TestWithoutAnAdminPort(t *testing.T) {
	r := start(t, config.VLLM, upstreamOf(t, &arrivals{}))
	require.Equal(t, 200, r.call("GET", "/metrics", "").status)
	for _, path := range []string{"/backends", "/debug/pprof/", "/debug/pprof/heap"} {
		require.Equal(t, 404, r.call("GET", path, "").status, path)
	}
}

func TestAdminPortWithoutMetrics(t *testing.T) {
	a := admin(t, start(t, config.VLLM, upstreamOf(t, &arrivals{}), withAdmin, func(c *config.Config) { c.Observability.Metrics.Enabled = false }))
	require.Equal(t, 404, a.call("GET", "/metrics", "").status)
}

// What the log says to be in force is.
func TestAdminPortFollowsTheMetrics(t *testing.T) {
	r := start(t, config.VLLM, upstreamOf(t, &arrivals{}), withAdmin)
	a := admin(t, r)
	change := func(m config.Metrics) {
		next := *r.inForce.Load().cfg
		next.Observability.Metrics = m
		require.NoError(t, r.change(t.Context(), &next))
	}
	change(config.Metrics{Enabled: true, Path: "/internal/{metrics}"})
	require.Equal(t, 404, a.call("GET", "/metrics", "").status)
	require.Contains(t, a.call("GET", "/internal/{metrics}", "").body, "antwort_requests_in_flight")
	change(config.Metrics{Path: "/metrics"})
	require.Equal(t, 404, a.call("GET", "/metrics", "").status)
	change(config.Metrics{Enabled: true, Path: "/metrics"})
	require.Contains(t, a.call("GET", "/metrics", "").body, "antwort_requests_in_flight")
	require.Equal(t, 404, r.call("GET", "/metrics", "").status, "it is the admin port's")
}

// A page in a browser cannot reach a loopback port by a name of its own.
func TestAdminPortKnowsItsName(t *testing.T) {
	a := admin(t, start(t, config.VLLM, upstreamOf(t, &arrivals{}), withAdmin))
	for host, want := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:9090": 200, "127.9.9.9:1": 200, "localhost": 200, "localhost:9090": 200, "[::1]:9090": 200, "[::1]": 200,
		"evil.example": 421, "evil.example:9090": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "10.0.0.1": 421, "": 421,
	} {
		got := a.raw([]byte("GET /backends HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"))
		require.Equal(t, want, got.status, "%q", host)
		if want != 200 {
			require.NotContains(t, got.body, "url")
		}
	}
	everywhere := a.adminHandler(isLoopback(&net.TCPAddr{IP: net.IPv4zero, Port: 9090}), http.NotFoundHandler())
	require.IsType(t, &http.ServeMux{}, everywhere, "in a pod any name will do")
}

// While the server drains, metrics and probes go on.
func TestAdminPortWhileDraining(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	r := start(t, config.VLLM, upstreamOf(t, chats(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-goOn
		answering(w)
	})), withAdmin, func(c *config.Config) { c.Server.DrainTimeout = guard })
	a := admin(t, r)
	done := make(chan answer, 1)
	go func() { done <- r.post(ask) }()
	wait(t, begun, "the upstream's request")
	r.stop()
	require.Eventually(t, r.draining.Load, guard, time.Millisecond)
	require.Equal(t, 503, a.call("GET", "/readyz", "").status)
	require.True(t, strings.Contains(a.call("GET", "/metrics", "").body, "antwort_requests_in_flight{provider=\"vllm\"} 1"))
	close(goOn)
	require.Equal(t, 200, wait(t, done, "the answer").status)
}
