package filter_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"antwort/filter/filtertest"

	"github.com/stretchr/testify/require"
)

// Without allow_on_headers_stop_iteration a gated filter never sees a body: it
// says so instead of hanging.
func TestGatedWithoutTheSetting(t *testing.T) {
	up := newUpstream(gives(200, "application/json", chatHello))
	h := start(t, config("vllm", "gated", "filter.gate_wait", `"20ms"`), up, func(o *filtertest.Options) {
		o.AllowOnHeadersStopIteration = false
	})
	for range 2 {
		got := post(t, h, hello)
		require.Equal(t, 500, got.status)
		e := errorOf(t, got.body)
		require.Equal(t, "gateway_misconfigured", e.Code)
		require.Contains(t, e.Message, "allow_on_headers_stop_iteration: true")
		require.Contains(t, e.Message, "inline")
	}
	require.Zero(t, up.count())
	require.EqualValues(t, 2, h.Counter("antwort.failures_total.ungated"))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	require.NoError(t, h.WaitLog(ctx, "needs allow_on_headers_stop_iteration"))

	// What is refused by its headers needs no body.
	require.Equal(t, 405, do(t, h, "GET", "/v1/responses", nil).status)
}

// A client that is slow looks the same, until any body has come.
func TestSlowUploadOnAHostWithTheSetting(t *testing.T) {
	up := newUpstream(gives(200, "application/json", chatHello))
	h := start(t, config("vllm", "gated", "filter.gate_wait", `"50ms"`), up)
	require.Equal(t, 200, post(t, h, hello).status)

	body, in := io.Pipe()
	r, err := http.NewRequest("POST", h.URL+"/v1/responses", body)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	go func() {
		time.Sleep(150 * time.Millisecond) // three times gate_wait without a byte of the body
		_, _ = io.WriteString(in, hello)
		_ = in.Close()
	}()
	got := send(t, r)
	require.Equal(t, 200, got.status, got.body)
	require.Zero(t, h.Counter("antwort.failures_total.ungated"))
}

// A client that goes away while it waits leaves nothing behind.
func TestClientGoneWhileGated(t *testing.T) {
	h := start(t, config("vllm", "gated", "filter.gate_wait", `"1h"`), newUpstream(nil))
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "POST", h.URL+"/v1/responses", unended{ctx})
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	go cancel()
	_, err = http.DefaultTransport.RoundTrip(r)
	require.Error(t, err)
	wait(t, h)
	h.Tick()
	require.Zero(t, h.Counter("antwort.failures_total.ungated"))
	require.False(t, h.Failed())
}

// unended is a body that never comes.
type unended struct{ ctx context.Context }

func (u unended) Read([]byte) (int, error) {
	<-u.ctx.Done()
	return 0, u.ctx.Err()
}
