package filter_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/shared/streamcheck"
)

var profiles = []string{"inline", "gated"}

// faultPlugins are those of TestFaults, by "provider/profile" and what is
// special about them.
func faultPlugins() (plugins []plugin) {
	for _, profile := range profiles {
		for _, provider := range []string{"vllm", "vllm-responses"} {
			p := plugin{name: provider + "/" + profile, config: config(provider, profile), gated: profile == "gated"}
			nobody, timeout, unrouted := p, p, p
			nobody.name, nobody.nobody = p.name+"/nobody", true
			timeout.name, timeout.timeout = p.name+"/timeout", "0.2s"
			unrouted.name, unrouted.routes = p.name+"/unrouted", "/elsewhere"
			plugins = append(plugins, p, nobody, timeout, unrouted)
		}
	}
	return append(plugins, plugin{
		name: "no knob", config: config("vllm", "gated", `,"gate_wait":"300ms"`), gated: true, noKnob: true,
	})
}

func TestFaults(t *testing.T) {
	g := start(t, shipped(t), faultPlugins())
	for _, profile := range profiles {
		url := g.url(t, "vllm/"+profile)
		t.Run(profile, func(t *testing.T) {
			t.Run("upstream errors", func(t *testing.T) { upstreamErrors(t, g, url) })
			t.Run("invalid requests", func(t *testing.T) { invalidRequests(t, g, url, profile) })
			t.Run("upstream reset in a stream", func(t *testing.T) { upstreamReset(t, g, url) })
			t.Run("client gone", func(t *testing.T) { clientGone(t, g, url) })
			t.Run("trailers", func(t *testing.T) { trailers(t, g, url) })
			t.Run("large bodies", func(t *testing.T) { largeBodies(t, g, url) })
			t.Run("events pass as they come", func(t *testing.T) { live(t, g, url) })
			t.Run("Envoy's own replies", func(t *testing.T) { ownReplies(t, g, profile) })
		})
	}
	t.Run("gated without the setting", func(t *testing.T) {
		before := g.stat(t, "failures_total.ungated")
		for range 2 {
			got := post(t, g.url(t, "no knob"), hello)
			require.Equal(t, 500, got.status)
			require.Equal(t, "gateway_misconfigured", code(t, got))
			require.Contains(t, got.body, "allow_on_headers_stop_iteration")
		}
		require.Equal(t, before+2, g.stat(t, "failures_total.ungated"))
	})
	g.becomes(t, "in_flight_bytes", 0)
	require.Zero(t, g.stat(t, "panics_total"))
	prometheus, err := g.Get("/stats/prometheus")
	require.NoError(t, err)
	for _, name := range []string{"requests_total__v1_responses_200", "failures_total_cut", "tokens_total_input", "time_to_first_token_ms_bucket", "in_flight_bytes", "panics_total"} {
		require.Contains(t, prometheus, "\nantwort_"+name+"{")
	}
}

// upstreamErrors are those of an upstream that answers, in the place of an
// answer or in it.
func upstreamErrors(t *testing.T, g *gateway, url string) {
	gated := strings.Contains(t.Name(), "/gated/")
	vllm := func(status int, message string) string {
		return fmt.Sprintf(`{"error":{"message":%q,"type":"X","param":null,"code":%d}}`, message, status)
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		stream bool
		status int // gated
		inline int // 0: the same
		code   string
	}{
		{name: "400", answer: gives(400, "application/json", vllm(400, "maximum context length is 5")), status: 400, code: "context_length_exceeded"},
		{name: "429", answer: gives(429, "application/json", vllm(429, "slow"), "Retry-After", "9"), stream: true, status: 429},
		{name: "500", answer: gives(500, "text/plain", "Traceback"), status: 500, code: "upstream_error"},
		{name: "500 without a body", answer: gives(500, "", ""), status: 500, code: "upstream_error"},
		{name: "503", answer: gives(503, "text/plain", "no"), stream: true, status: 503, code: "upstream_unavailable"},
		{name: "418 becomes what it is", answer: gives(418, "text/plain", "tea"), status: 418},
		{name: "304", answer: gives(304, "", ""), status: 502, code: "upstream_error"},
		{name: "not JSON", answer: gives(200, "application/json", "oops"), status: 502, inline: 200, code: "upstream_invalid_answer"},
		{name: "200 without a body", answer: gives(200, "application/json", ""), status: 502, code: "upstream_invalid_answer"},
		{name: "not streamed", answer: gives(200, "text/html", "<html>"), stream: true, status: 502, inline: 200, code: "upstream_invalid_answer"},
		{name: "in-band first", answer: streams("data: " + vllm(503, "busy") + "\n\n"), stream: true, status: 503, inline: 200, code: "upstream_unavailable"},
		{name: "in-band later", answer: streams(chatEvents[1], "data: "+vllm(500, "x")+"\n\n"), stream: true, status: 200, code: "upstream_error"},
		{name: "ends too early", answer: streams(chatEvents[:3]...), stream: true, status: 200, code: "upstream_cut"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.up.set(c.answer)
			body := hello
			if c.stream {
				body = helloStream
			}
			got := post(t, url, body, "X-Request-Id", "7b1e6d3c-0000-4000-8000-000000000001")
			require.False(t, got.cut)
			status := c.status
			if !gated && c.inline != 0 {
				status = c.inline
			}
			require.Equal(t, status, got.status, got.body)
			require.Equal(t, "7b1e6d3c-0000-4000-8000-000000000001", got.header.Get("X-Request-Id"))
			if status != 200 {
				require.Equal(t, c.code, code(t, got))
				if status == 429 {
					require.Equal(t, "9", got.header.Get("Retry-After"))
				}
				return
			}
			require.Contains(t, got.body, `"status":"failed"`)
			require.Contains(t, got.body, `"error":{"code":"`+c.code+`"`)
			if c.stream {
				for _, p := range streamcheck.Check(strings.NewReader(got.body)) {
					t.Errorf("streamcheck: %v", p)
				}
			}
		})
	}
}

func invalidRequests(t *testing.T, g *gateway, url, profile string) {
	reached := make(chan error, 100)
	g.up.set(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		reached <- err
		gives(200, "application/json", chatHello)(w, r)
	})
	for _, body := range []io.Reader{
		strings.NewReader(`{"model":`), unsized(`{"model":`), strings.NewReader(hello + "x"), unsized(hello + "x"), strings.NewReader(""),
		strings.NewReader(`{"model":"m","input":"` + strings.Repeat("a", 2<<20) + `"`), unsized(`{"model":"m","input":"` + strings.Repeat("a", 2<<20)),
	} {
		got := send(t, http.DefaultTransport, request(t, url, body))
		require.Equal(t, 400, got.status, got.body)
		require.Equal(t, "invalid_json", code(t, got))
	}
	for len(reached) > 0 {
		err := <-reached
		require.Error(t, err, "the upstream got a whole invalid request")
		require.Equal(t, "inline", profile, "the upstream saw an invalid request begin")
	}
	got := post(t, url, hello, "Content-Encoding", "zstd")
	require.Equal(t, 415, got.status)
	code(t, got)
}

func upstreamReset(t *testing.T, g *gateway, url string) {
	before := g.stat(t, "failures_total.cut")
	g.up.set(func(w http.ResponseWriter, r *http.Request) {
		streams(chatEvents[:3]...)(w, r)
		panic(http.ErrAbortHandler)
	})
	got := post(t, url, helloStream)
	require.True(t, got.cut, "expected a cut stream, got %s", got.body)
	require.NotContains(t, got.body, "response.completed")
	g.becomes(t, "failures_total.cut", before+1)
	g.up.set(gives(200, "application/json", chatHello))
	require.Equal(t, 200, post(t, url, hello).status)
}

func clientGone(t *testing.T, g *gateway, url string) {
	before := g.stat(t, "failures_total.cut")
	ended := make(chan time.Time, 1)
	g.up.set(func(w http.ResponseWriter, r *http.Request) {
		streams(chatEvents[:2]...)(w, r)
		<-r.Context().Done()
		ended <- time.Now()
	})
	ctx, cancel := context.WithCancel(context.Background())
	resp, err := new(http.Transport).RoundTrip(request(t, url, strings.NewReader(helloStream)).WithContext(ctx))
	require.NoError(t, err)
	_, err = resp.Body.Read(make([]byte, 1))
	require.NoError(t, err)
	left := time.Now()
	cancel()
	resp.Body.Close()
	select {
	case at := <-ended:
		t.Logf("the upstream knew %v after the client had gone", at.Sub(left))
	case <-time.After(30 * time.Second):
		t.Fatal("the upstream still works 30 s after the client has gone")
	}
	g.becomes(t, "failures_total.cut", before+1)
}

// trailers on both sides, over HTTP/2: the end of the stream comes with them.
func trailers(t *testing.T, g *gateway, url string) {
	client := http2(t)
	for _, c := range []struct {
		name, body string
		answer     http.HandlerFunc
		status     int
		contains   string
	}{
		{"whole", hello, gives(200, "application/json", chatHello), 200, `"text":"Hi there"`},
		{"streamed", helloStream, streams(chatEvents...), 200, "data: [DONE]\n\n"},
		{"refused", hello, gives(429, "application/json", `{"error":{"message":"slow down"}}`), 429, `"message":"slow down"`},
		{"incomplete request", hello[:len(hello)-1], gives(200, "application/json", chatHello), 400, `"code":"invalid_json"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.up.set(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Trailer", "X-End")
				c.answer(w, r)
				w.Header().Set("X-End", r.Trailer.Get("X-Sent"))
			})
			r := request(t, url, unsized(c.body))
			r.Trailer = http.Header{"X-Sent": {"yes"}}
			got := send(t, client, r)
			require.False(t, got.cut)
			require.Equal(t, c.status, got.status, got.body)
			require.Contains(t, got.body, c.contains)
			if c.status != 400 {
				require.Equal(t, "yes", got.trailer.Get("X-End"))
			}
		})
	}
}

// largeBodies pass under Envoy's default limits: 32 MB, and the most that the
// filter takes; one more byte is refused.
func largeBodies(t *testing.T, g *gateway, url string) {
	answer := `{"choices":[{"message":{"content":"` + strings.Repeat("b", 8<<20) + `"},"finish_reason":"stop"}]}`
	g.up.set(gives(200, "application/json", answer))
	const frame = len(`{"model":"m","input":""}`)
	for size, status := range map[int]int{32_000_000: 200, 32 << 20: 200, 32<<20 + 1: 413} {
		text := `{"model":"m","input":"` + strings.Repeat("a", size-frame) + `"}`
		for version, client := range map[string]*http.Transport{"HTTP/1.1": {DisableKeepAlives: true}, "HTTP/2": http2(t)} {
			for _, body := range []io.Reader{strings.NewReader(text), unsized(text)} {
				got := send(t, client, request(t, url, body))
				require.False(t, got.cut)
				require.Equal(t, status, got.status, "%d bytes over %s", size, version)
				if status == 200 {
					require.Greater(t, len(got.body), 8<<20)
				} else {
					require.Equal(t, "request_too_large", code(t, got))
				}
			}
		}
	}
}

// live: the upstream sends the next event only when the client has the last.
func live(t *testing.T, g *gateway, url string) {
	next := make(chan struct{})
	g.up.set(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{\"content\":\"w%d\"}}]}\n\n", i)
			w.(http.Flusher).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	resp, err := http.DefaultTransport.RoundTrip(request(t, url, strings.NewReader(helloStream)).WithContext(ctx))
	require.NoError(t, err)
	defer resp.Body.Close()
	var text strings.Builder
	buf := make([]byte, 4096)
	for i := range 3 {
		for !strings.Contains(text.String(), fmt.Sprintf(`"delta":"w%d"`, i)) {
			n, err := resp.Body.Read(buf)
			require.NoError(t, err, "waiting for delta %d", i)
			text.Write(buf[:n])
		}
		next <- struct{}{}
	}
}

func ownReplies(t *testing.T, g *gateway, profile string) {
	g.up.set(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	for _, provider := range []string{"vllm", "vllm-responses"} {
		for _, c := range []struct {
			kind   string
			status int
			code   string
		}{{"nobody", 503, "upstream_unavailable"}, {"timeout", 504, "upstream_timeout"}, {"unrouted", 404, "no_route"}} {
			t.Run(provider+"/"+c.kind, func(t *testing.T) {
				got := post(t, g.url(t, provider+"/"+profile+"/"+c.kind), hello)
				require.False(t, got.cut)
				require.Equal(t, c.status, got.status, got.body)
				require.Equal(t, c.code, code(t, got))
				require.NotContains(t, got.body, "127.0.0.1")
			})
		}
	}
}
