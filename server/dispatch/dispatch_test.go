package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"antwort/server/upstream"
	"antwort/shared/config"
	"antwort/shared/failure"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func pools(t testing.TB, d *Dispatcher, before *Pools, urls ...string) *Pools {
	t.Helper()
	cfg := config.Default()
	route := config.Route{Name: "r", Balance: config.Affinity, MaxLoad: 200}
	for i, url := range urls {
		route.Backends = append(route.Backends, config.Backend{URL: url, Weight: 1 + i})
	}
	cfg.Routes = []config.Route{route}
	ps, err := d.Pools(cfg, before)
	require.NoError(t, err)
	return ps
}

func dispatcher() *Dispatcher {
	return New(slog.New(slog.DiscardHandler), time.Now, "antwort-test", prometheus.NewRegistry())
}

// A changed configuration goes on with the connections of backends that stay, and
// with what is known of a route.
func TestChangedPoolsKeepWhatStays(t *testing.T) {
	d := dispatcher()
	before := pools(t, d, nil, "http://a", "http://b")
	before.Route(0).contacted.Store(true)
	after := pools(t, d, before, "http://b", "http://c")
	require.Same(t, before.Route(0).backends[1].client, after.Route(0).backends[0].client)
	require.True(t, after.Route(0).contacted.Load(), "its outage is told as one")
}

// What a call without an answer means for the client.
func TestUnansweredCalls(t *testing.T) {
	p := pools(t, dispatcher(), nil, "http://a").Route(0)
	why := errors.New("why")
	for _, c := range []struct {
		kind      upstream.Kind
		contacted bool
		want      failure.Kind
		status    int
	}{
		{upstream.Connect, false, failure.UpstreamConnect, 502},
		{upstream.Connect, true, failure.UpstreamConnect, 503},
		{upstream.Closed, true, failure.UpstreamClosed, 502},
		{upstream.Timeout, true, failure.UpstreamTimeout, 504},
		{upstream.Malformed, true, failure.UpstreamMalformed, 502},
		{upstream.Body, true, failure.BadBody, 0},
	} {
		t.Run(c.kind.String(), func(t *testing.T) {
			p.contacted.Store(c.contacted)
			call := p.Call(&Request{Unread: func(err error) *failure.Failure {
				require.Equal(t, why, err)
				return failure.Of(failure.BadBody, nil)
			}})
			f := call.unanswered(t.Context(), &upstream.Error{Kind: c.kind, Err: why})
			require.Equal(t, c.want, f.Kind)
			if c.status == 0 {
				require.Nil(t, f.Reply)
				return
			}
			require.Equal(t, c.status, f.Reply.Status)
			require.ErrorIs(t, f.Cause, why)
			require.NotContains(t, f.Reply.Message, "why", "it may name addresses")
			require.Equal(t, c.status == http.StatusServiceUnavailable, f.Reply.RetryAfter != "")
		})
	}
}

// The end of a call's context says who ended it.
func TestEndedCalls(t *testing.T) {
	for cause, want := range map[error]failure.Kind{
		ErrShutdown: failure.Shutdown, ErrPanicked: failure.Panic, ErrSilent: failure.UpstreamSilent, ErrClientGone: failure.ClientGone,
		errors.New("another"): failure.ClientGone,
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		f := Ended(ctx)
		require.Equal(t, want, f.Kind)
		require.Equal(t, want == failure.ClientGone, f.Reply == nil, "nobody is there to be told")
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": -1, "x": -1, "-1": -1, "1.5": -1, "0": 0, "7": 7 * time.Second,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second, "Fri, 02 Jan 2026 03:04:00 GMT": 0,
	} {
		d, ok := retryAfter(v, now)
		require.Equal(t, want >= 0, ok, v)
		require.Equal(t, max(want, 0), d, v)
	}
}

// BenchmarkChoose is what it costs a request to find its backend among four, by
// its conversation.
func BenchmarkChoose(b *testing.B) {
	p := pools(b, dispatcher(), nil, "http://a", "http://b", "http://c", "http://d").Route(0)
	b.ReportAllocs()
	for b.Loop() {
		c := p.Call(&Request{Conversation: 7})
		c.choose()
		c.reached()
		c.Drop()
		c.Release()
	}
}
