package filter_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"antwort/filter/filtertest"

	"github.com/stretchr/testify/require"
)

// textOf makes a request of about n bytes.
func textOf(n int) string { return `{"model":"m","input":"` + strings.Repeat("a", n) + `"}` }

// Bodies are gathered in the VM, so Envoy's buffer limit does not matter.
func TestBodiesOverEnvoysBufferLimitPass(t *testing.T) {
	const size = 8 << 20
	answer := `{"choices":[{"message":{"content":"` + strings.Repeat("b", size) + `"},"finish_reason":"stop"}]}`
	for _, profile := range profiles {
		for _, length := range []string{"sized", "unsized"} {
			t.Run(profile+"/"+length, func(t *testing.T) {
				up := newUpstream(gives(200, "application/json", answer))
				h := start(t, config("vllm", profile), up)
				var body io.Reader = strings.NewReader(textOf(size))
				if length == "unsized" {
					body = unsized(textOf(size))
				}
				got := do(t, h, "POST", "/v1/responses", body)
				require.False(t, got.cut)
				require.Equal(t, 200, got.status, got.body[:min(len(got.body), 300)])
				require.Greater(t, len(got.body), size)
				_, chat := up.last()
				require.Greater(t, len(chat), size)
			})
		}
	}
}

func TestLimits(t *testing.T) {
	const kib = 1 << 10
	whole := gives(200, "application/json", chatHello)
	for _, c := range []struct {
		name       string
		provider   string
		limits     []string
		body       string
		answer     http.HandlerFunc
		status     int // gated
		inline     int // 0: the same
		code       string
		retryAfter string
	}{
		{name: "request body", limits: []string{"limits.request_body_bytes", "2048"}, body: textOf(3 * kib), status: 413, code: "request_too_large"},
		{name: "request body, forwarded", provider: "vllm-responses", limits: []string{"limits.request_body_bytes", "2048"}, body: textOf(3 * kib), status: 413, code: "request_too_large"},
		{name: "bytes in flight", limits: []string{"limits.request_body_bytes", "2048", "limits.in_flight_bytes", "2048"}, body: textOf(1500), status: 503, code: "overloaded", retryAfter: "1"},
		{name: "whole answer", limits: []string{"limits.response_body_bytes", "1024"}, body: hello, answer: gives(200, "application/json", `{"a":"`+strings.Repeat("x", 2*kib)+`"}`), status: 502, inline: 200, code: "upstream_invalid_answer"},
		{name: "one event of a stream", limits: []string{"limits.event_bytes", "1024"}, body: helloStream, answer: streams(`data: {"a":"` + strings.Repeat("x", 2*kib) + `"}` + "\n\n"), status: 502, inline: 200, code: "upstream_invalid_answer"},
	} {
		for _, profile := range profiles {
			for _, length := range []string{"sized", "unsized"} {
				t.Run(c.name+"/"+profile+"/"+length, func(t *testing.T) {
					if c.provider == "" {
						c.provider = "vllm"
					}
					if c.answer == nil {
						c.answer = whole
					}
					up := newUpstream(c.answer)
					h := start(t, config(c.provider, profile, c.limits...), up, func(o *filtertest.Options) {
						o.RequestSplit, o.ResponseSplit = filtertest.Every(512), filtertest.Every(512)
					})
					var body io.Reader = strings.NewReader(c.body)
					if length == "unsized" {
						body = unsized(c.body)
					}
					if c.name == "bytes in flight" && length == "sized" {
						// The length alone is within the limit: room is what does not suffice.
						c.status, c.code, c.retryAfter = 503, "overloaded", "1"
					}
					got := do(t, h, "POST", "/v1/responses", body)
					if profile == "inline" && c.inline != 0 {
						require.Equal(t, c.inline, got.status)
						require.Contains(t, got.body, `"status":"failed"`)
						require.Contains(t, got.body, `"code":"`+c.code+`"`)
						return
					}
					require.Equal(t, c.status, got.status, got.body)
					require.Equal(t, c.code, errorOf(t, got.body).Code)
					require.Equal(t, c.retryAfter, got.header.Get("Retry-After"))
					wait(t, h)
					nothingIsHeld(t, h)
				})
			}
		}
	}
}

// What an answer repeats of its request is held until the answer's end, and so is
// an event that does not end.
func TestWhatAStreamHoldsIsCounted(t *testing.T) {
	const size = 40 << 10
	long := `{"model":"m","instructions":"` + strings.Repeat("i", size) + `","input":"hi","stream":true}`
	first := `data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}` + "\n\n"
	for name, c := range map[string]struct{ body, begin string }{
		"what is repeated":   {long, first},
		"the first event":    {helloStream, `data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("e", size)},
		"an event after it":  {helloStream, first + `data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("e", size)},
		"the text until now": {helloStream, first + `data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("e", size) + `"}}]}` + "\n\n"},
	} {
		for _, profile := range profiles {
			t.Run(name+"/"+profile, func(t *testing.T) {
				release := make(chan struct{})
				up := newUpstream(func(w http.ResponseWriter, r *http.Request) {
					streams(c.begin)(w, r)
					select {
					case <-release:
					case <-r.Context().Done():
					}
				})
				h := start(t, config("vllm", profile, "limits.in_flight_bytes", "65536", "limits.request_body_bytes", "65536"), up)
				ended := make(chan got, 1)
				go func() { ended <- post(t, h, c.body) }()
				require.Eventually(t, func() bool { return h.Gauge("antwort.in_flight_bytes") >= size }, 30*time.Second, time.Millisecond)
				got := post(t, h, long)
				require.Contains(t, got.body, "overloaded")
				close(release)
				<-ended
				wait(t, h)
				nothingIsHeld(t, h)
				up.set(streams(chatEvents...))
				require.Contains(t, post(t, h, long).body, "response.completed")
			})
		}
	}
}
