package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/server/testkit"
	"antwort/shared/config"
)

// holding is a backend that streams until it is told to end.
func holding(t *testing.T, came chan<- string, name string, end <-chan struct{}) string {
	return upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		send := sending(w)
		send(chatRole + chatText(name))
		came <- name
		<-end
		send(chatFinish + chatUsage + chatDone)
	}))
}

func TestBackendsStatus(t *testing.T) {
	came, end := make(chan string, 10), make(chan struct{})
	up, down := holding(t, came, "up", end), "http://"+testkit.Refused(t).String()
	r := start(t, config.VLLM, "", pair(t, down, up), func(c *config.Config) { c.Routing.EjectAfter = 1 })
	resp := r.open("POST", "/v1/responses", strings.NewReader(askStream))
	wait(t, came, "the stream")
	var got struct {
		Routes []struct {
			Name, Provider, Balance string
			Backends                []map[string]any
		}
	}
	require.NoError(t, json.Unmarshal(r.pools().StatusJSON(), &got))
	require.Len(t, got.Routes, 1)
	pair := got.Routes[0]
	require.Equal(t, []string{"pair", "vllm", "least_request"}, []string{pair.Name, pair.Provider, pair.Balance})
	require.InDelta(t, 5, pair.Backends[0]["ejected_for_seconds"], 5)
	delete(pair.Backends[0], "ejected_for_seconds")
	require.Equal(t, []map[string]any{
		{"url": down, "state": "ejected", "weight": 1., "priority": 0., "requests_in_flight": 0., "failures_in_a_row": 1.},
		{"url": up, "state": "well", "weight": 1., "priority": 1., "requests_in_flight": 1., "failures_in_a_row": 0.},
	}, pair.Backends)
	require.EqualValues(t, 2, metric(t, r, "antwort_backend_state", `route="pair"`, down))
	require.EqualValues(t, 0, metric(t, r, "antwort_backend_state", `route="pair"`, up))
	require.EqualValues(t, 1, metric(t, r, "antwort_backend_requests_in_flight", `route="pair"`, up))
	close(end)
	finish(t, resp)
	r.log.waitFor(t, `"msg":"request"`, "/v1/responses")
	require.EqualValues(t, 0, metric(t, r, "antwort_backend_requests_in_flight"))
}

// Routes may come, change and go while streams run: each stream goes on where it
// is, its place is known to the next configuration, and nobody is refused.
func TestChangedRoutes(t *testing.T) {
	t.Parallel()
	came, end := make(chan string, 100), make(chan struct{})
	a, b, c := holding(t, came, "a", end), holding(t, came, "b", end), holding(t, came, "c", end)
	routes := func(urls ...string) func(*config.Config) {
		var list []string
		for _, url := range urls {
			list = append(list, fmt.Sprintf(`{"url":%q}`, url))
		}
		return withRoutes(t, `[{"name":"r","backends":[`+strings.Join(list, ",")+`]}]`)
	}
	r := start(t, config.VLLM, "", routes(a, b))
	ready(t, r)
	var file atomic.Pointer[config.Config]
	edited := func(edit func(*config.Config)) *config.Config {
		next := *r.first.cfg
		edit(&next)
		return &next
	}
	file.Store(r.first.cfg)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go r.Follow(ctx, func() (*config.Config, error) { return file.Load(), nil })

	var streams []*http.Response
	open := func() string {
		streams = append(streams, r.open("POST", "/v1/responses", strings.NewReader(askStream)))
		return wait(t, came, "a stream")
	}
	require.ElementsMatch(t, []string{"a", "b"}, []string{open(), open()})
	file.Store(edited(routes(b, c)))
	r.log.waitFor(t, "the changed configuration is in force")
	require.Equal(t, "c", open(), "b has one in flight")
	file.Store(edited(func(c *config.Config) { c.Routes, c.Engine.BackendURL = nil, a }))
	require.Eventually(t, func() bool { return r.pools().Route(0).Name == config.DefaultRoute }, guard, 1e6)
	require.Equal(t, "a", open())
	close(end)
	for _, resp := range streams {
		got := finish(t, resp)
		checkStream(t, got.body)
		require.Equal(t, "response.completed", lastEvent(t, got.body))
	}
}

// One route that is down does not keep the others out of service, and backends
// of an earlier configuration are asked no more.
func TestReadyWithOneBackendOfMany(t *testing.T) {
	t.Parallel()
	down := "http://" + testkit.Refused(t).String()
	_, llm := mock(t, mockllm.Options{})
	r := start(t, config.VLLM, "", withRoutes(t, fmt.Sprintf(`[{"name":"down","match":{"models":["d"]},"backends":[{"url":%q}]},{"name":"up","backends":[{"url":%q}]}]`, down, llm)))
	ready(t, r)
	require.Equal(t, 200, r.call("GET", "/readyz", "").status)
	r.log.waitFor(t, "no contact with the upstream yet", `"route":"down"`, `"attempt":2`)
	got := r.post(`{"model":"d","input":"x"}`)
	require.Equal(t, 502, got.status, "it was never there")
	_, _, code := got.errorCode(t)
	require.Equal(t, "upstream_unreachable", code)

	next := *r.first.cfg
	withRoutes(t, fmt.Sprintf(`[{"name":"up","backends":[{"url":%q}]}]`, llm))(&next)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go r.Follow(ctx, func() (*config.Config, error) { return &next, nil })
	r.log.waitFor(t, "the changed configuration is in force")
	require.Equal(t, 200, r.call("GET", "/readyz", "").status)
}
