package filter_test

import (
	"testing"

	"antwort/filter/filtertest"

	"github.com/stretchr/testify/require"
)

// A panic in any callback fails that request only; the VM and its other
// streams live on.
func TestPanics(t *testing.T) {
	for _, profile := range profiles {
		up := newUpstream(nil)
		cfg := config("vllm", profile)
		h := filtertest.New(t, panicking, filtertest.Options{Configuration: cfg, Upstream: up, AllowOnHeadersStopIteration: profile == "gated"})
		panics := 0
		for _, c := range []struct {
			place, body string
			cut         bool // headers have left
		}{
			{"request_headers", hello, false},
			{"request_body", hello, false},
			{"response_headers", hello, false},
			{"response_headers", helloStream, false},
			{"response_body", hello, profile == "inline"},
			{"response_body", helloStream, profile == "inline"},
		} {
			t.Run(profile+"/"+c.place, func(t *testing.T) {
				answer := gives(200, "application/json", chatHello)
				if c.body == helloStream {
					answer = streams(chatEvents...)
				}
				up.set(answer)
				got := post(t, h, c.body, "X-Panic-In", c.place, "X-Request-Id", "id-2")
				panics++
				require.Equal(t, c.cut, got.cut, got.body)
				if !c.cut {
					require.Equal(t, 500, got.status)
					require.Equal(t, "internal_error", errorOf(t, got.body).Code)
					require.Equal(t, "id-2", got.header.Get("X-Request-Id"))
				}
				wait(t, h)
				require.False(t, h.Failed())
				require.EqualValues(t, panics, h.Counter("antwort.panics_total"))
				require.EqualValues(t, panics, h.Counter("antwort.failures_total.panic"))
				require.Zero(t, h.Gauge("antwort.in_flight_bytes"))
				up.set(gives(200, "application/json", chatHello))
				require.Equal(t, 200, post(t, h, hello).status, "the VM does not live on")
			})
		}
	}
	// The header means nothing to the filter that is shipped.
	h := start(t, config("vllm", "inline"), newUpstream(gives(200, "application/json", chatHello)))
	require.Equal(t, 200, post(t, h, hello, "X-Panic-In", "request_body").status)
}
