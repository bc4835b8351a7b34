package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/server/testkit"
	"antwort/shared/config"
)

// pair is a route whose first backend is bad, and then good.
func pair(t *testing.T, bad, good string) func(*config.Config) {
	return withRoutes(t, `[{"name":"pair","backends":[{"url":"`+bad+`"},{"url":"`+good+`","priority":1}]}]`)
}

// goodFor is a backend that answers properly.
func goodFor(t *testing.T, provider config.Provider) string {
	t.Helper()
	_, llm := mock(t, mockllm.Options{})
	if provider == config.VLLM {
		return llm
	}
	back := start(t, config.VLLM, llm)
	ready(t, back)
	return back.url
}

const rawJSONHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"

func TestAnotherBackendAnswers(t *testing.T) {
	type handler = func(net.Conn, *bufio.Reader, *http.Request)
	answering := func(text string) handler {
		return func(conn net.Conn, _ *bufio.Reader, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			_, _ = io.WriteString(conn, text)
		}
	}
	refusing := func(status string) handler {
		return answering("HTTP/1.1 " + status + "\r\nConnection: close\r\nRetry-After: 600\r\nContent-Length: 2\r\n\r\n{}")
	}
	for _, c := range []struct {
		name   string
		bad    handler // nil: nobody listens
		bodies string  // the kind for which it matters: whole, stream or both
		reason string
	}{
		{"nobody listens", nil, "both", "connect"},
		{"closed before the request was read", func(conn net.Conn, _ *bufio.Reader, _ *http.Request) {}, "both", "closed"},
		{"closed before the answer", answering(""), "both", "closed"},
		{"closed within the header", answering("HTTP/1.1 200 OK\r\nContent-"), "both", "closed"},
		{"429", refusing("429 Too Many Requests"), "both", "429"},
		{"503", refusing("503 Service Unavailable"), "both", "503"},
		{"502", refusing("502 Bad Gateway"), "both", "502"},
		{"a whole answer breaks off", answering(rawJSONHead + `{"id":`), "whole", "cut"},
		{"a stream ends at once", answering(rawStreamHead), "stream", "cut"},
		{"a stream breaks in its first event", answering(rawStreamHead + `data: {"id":"c","choices":[`), "stream", "cut"},
		{"a stream breaks after a chunk's beginning", answering("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n40\r\ndata:"), "stream", "cut"},
	} {
		for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
			for kind, body := range map[string]string{"whole": `{"model":"/mnt/models","input":"hi"}`, "stream": `{"model":"/mnt/models","input":"hi","stream":true}`} {
				if c.bodies != "both" && c.bodies != kind {
					continue
				}
				t.Run(c.name+"/"+string(provider)+"/"+kind, func(t *testing.T) {
					bad := "http://" + testkit.Refused(t).String()
					if c.bad != nil {
						bad = rawUpstream(t, c.bad)
					}
					good := goodFor(t, provider)
					r := start(t, provider, "", pair(t, bad, good), func(c *config.Config) {
						c.Engine.Retry.BaseDelay, c.Engine.Retry.MaxDelay = time.Hour, time.Hour // nobody waits
					})
					for _, client := range []*running{r, r.overHTTP2()} {
						got := client.post(body)
						require.Equal(t, 200, got.status, got.body)
						require.NotEmpty(t, got.header.Get("X-Request-Id"))
						if kind == "stream" {
							checkStream(t, got.body)
							require.Equal(t, "response.completed", lastEvent(t, got.body))
						}
					}
					line := r.log.waitFor(t, `"msg":"request"`, "/v1/responses")
					require.Equal(t, []any{"pair", good, 1.0}, []any{line["route"], line["backend"], line["retries"]})
					require.EqualValues(t, 2, metric(t, r, "antwort_backend_failures_total", `backend="`+bad+`"`, `kind="`+c.reason+`"`))
					require.EqualValues(t, 2, metric(t, r, "antwort_upstream_retries_total", `reason="`+c.reason+`"`))
				})
			}
		}
	}
}

// What one backend says is told when no other one says better.
func TestAllBackendsRefuse(t *testing.T) {
	for provider, calls := range map[config.Provider]int32{config.VLLM: 3, config.VLLMResponses: 2} {
		s := &scripted{steps: []func(http.ResponseWriter){refusing(503, "1"), refusing(429, "0"), refusing(503, "7")}}
		var handler http.Handler = s
		r := start(t, provider, "", pair(t, upstreamOf(t, handler), upstreamOf(t, handler)))
		got := r.post(ask)
		require.Equal(t, map[int32]int{2: 429, 3: 503}[calls], got.status)
		require.Equal(t, calls, s.calls.Load(), "a second round is for the last tier only")
	}
}

// What changes something upstream is not sent twice, unless it never arrived.
func TestRequestsThatChangeSomething(t *testing.T) {
	var calls atomic.Int32
	closing := rawUpstream(t, func(net.Conn, *bufio.Reader, *http.Request) { calls.Add(1) })
	good := goodFor(t, config.VLLMResponses)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/v1/responses", `{"model":"/mnt/models","input":"x","background":true}`, 502},
		{"POST", "/v1/responses", `{"model":"/mnt/models","input":"x","conversation":"c1"}`, 502},
		{"POST", "/v1/responses/resp_1/cancel", ``, 502},
		{"DELETE", "/v1/responses/resp_1", ``, 502},
		{"GET", "/v1/responses/resp_1", ``, 404},                           // the good one's answer
		{"GET", "/v1/responses/resp_1", strings.Repeat("x", 200<<10), 502}, // is passed on while it comes
		{"POST", "/v1/responses", `{"model":"/mnt/models","input":"x","background":false,"conversation":null}`, 200},
	} {
		calls.Store(0)
		r := start(t, config.VLLMResponses, "", pair(t, closing, good))
		got := r.call(c.method, c.path, c.body)
		require.Equal(t, c.status, got.status, "%s %s %.99s: %s", c.method, c.path, c.body, got.body)
		require.EqualValues(t, 1, calls.Load())

		busy := rawUpstream(t, func(conn net.Conn, _ *bufio.Reader, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			_, _ = io.WriteString(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}")
		})
		r = start(t, config.VLLMResponses, "", pair(t, busy, good))
		want := c.status
		if want == 502 {
			want = 503 // a proxy may say so of a backend that has begun
		}
		require.Equal(t, want, r.call(c.method, c.path, c.body).status)

		r = start(t, config.VLLMResponses, "", pair(t, "http://"+testkit.Refused(t).String(), good))
		got = r.call(c.method, c.path, c.body)
		require.NotEqual(t, 502, got.status, "nothing was sent to the first one")
	}
}

// A body that may be sent again is held whole, within the limit.
func TestLongForwardedBodiesAreSentAgain(t *testing.T) {
	t.Parallel()
	long := `{"model":"/mnt/models","input":"` + strings.Repeat("long ", 200_000) + `"}`
	// It answers nothing, and reads half of the request.
	closing := rawUpstream(t, func(conn net.Conn, r *bufio.Reader, _ *http.Request) {
		_, _ = io.CopyN(io.Discard, r, int64(len(long)/2))
	})
	r := start(t, config.VLLMResponses, "", pair(t, closing, goodFor(t, config.VLLMResponses)))
	got := r.post(long)
	require.Equal(t, 200, got.status, got.body)
	require.Contains(t, got.body, strings.Repeat("long ", 100))
	r = start(t, config.VLLMResponses, "", pair(t, closing, "http://"+testkit.Refused(t).String()), func(c *config.Config) { c.Limits.RequestBodyBytes = 1<<20 - 100_000 })
	require.Equal(t, 413, r.post(long).status)
}

// Every backend gets the name that it knows; the answer has the client's.
func TestBackendsWithDifferentNames(t *testing.T) {
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		came := make(chan string, 10)
		taking := func(status int) string {
			return upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				came <- string(body)
				if status != 200 {
					refusing(status, "")(w)
					return
				}
				answering(w)
			}))
		}
		r := start(t, provider, "", withRoutes(t, fmt.Sprintf(`[{"name":"r","backends":[
			{"url":%q,"model":"first"},{"url":%q,"priority":1},{"url":%q,"priority":2,"model":"a \"third\""}]}]`, taking(503), taking(429), taking(200))))
		got := r.post(`{"input":"x", "model": "asked"}`)
		require.Equal(t, 200, got.status, got.body)
		for _, name := range []string{`"first"`, `"asked"`, `"a \"third\""`} {
			body := wait(t, came, "a request")
			if provider == config.VLLMResponses {
				require.Equal(t, `{"input":"x", "model": `+name+`}`, body)
			} else {
				require.Contains(t, body, `{"model":`+name+`,"messages":[`)
			}
		}
		if provider == config.VLLM {
			require.Contains(t, got.body, `"model":"asked"`)
		}
	}
}

// What a client has heard is the answer's beginning: from then on a failure is
// told, and the request is no longer kept.
func TestNoOtherBackendAfterTheFirstByte(t *testing.T) {
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		for _, keptAlive := range []bool{false, true} {
			begun, cut := make(chan struct{}, 1), make(chan struct{})
			bad := rawUpstream(t, func(conn net.Conn, _ *bufio.Reader, req *http.Request) {
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(conn, rawStreamHead)
				if !keptAlive {
					_, _ = io.WriteString(conn, map[config.Provider]string{config.VLLM: chatRole,
						config.VLLMResponses: "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\"}}\n\n"}[provider])
				}
				begun <- struct{}{}
				<-cut
			})
			r := start(t, provider, "", pair(t, bad, goodFor(t, provider)), func(c *config.Config) {
				c.Server.KeepAliveInterval = 0
				if keptAlive {
					c.Server.KeepAliveInterval = 20 * time.Millisecond
				}
			})
			resp := r.open("POST", "/v1/responses", strings.NewReader(askStream))
			events := readEvents(t, resp.Body)
			first := events.next()
			wait(t, begun, "the stream's beginning")
			close(cut)
			rest, err := io.ReadAll(events.r)
			require.NoError(t, err)
			resp.Body.Close()
			if provider == config.VLLM || !keptAlive {
				require.Equal(t, "response.failed", lastEvent(t, first+string(rest)))
			}
			require.Contains(t, string(rest), "upstream_cut")
			line := r.log.waitFor(t, `"msg":"request"`, "/v1/responses")
			require.Nil(t, line["retries"])
		}
	}
}

// A backend that nobody can reach is left out after some failures, and takes
// part again when it is back.
func TestDeadBackendIsLeftOut(t *testing.T) {
	down := testkit.Refused(t)
	addr := down.String()
	var first atomic.Int32
	good := upstreamOf(t, chats(answering200))
	r := start(t, config.VLLM, "", pair(t, "http://"+addr, good), func(c *config.Config) {
		c.Routing.EjectAfter, c.Routing.EjectTime, c.Routing.MaxEjectTime = 3, 50*time.Millisecond, 100*time.Millisecond
	})
	attempts := func() float64 { return metric(t, r, "antwort_backend_requests_total", `backend="http://`+addr+`"`) }
	for range 3 {
		require.Equal(t, 200, r.post(ask).status)
	}
	line := r.log.waitFor(t, "a backend is left out for a while")
	require.Equal(t, []any{"pair", "http://" + addr, "connect", "50ms"}, []any{line["route"], line["backend"], line["failure"], line["for"]})
	require.EqualValues(t, 3, attempts())
	require.EqualValues(t, 1, metric(t, r, "antwort_backend_ejections_total", `backend="http://`+addr+`"`))

	ln, err := down.Listen()
	require.NoError(t, err)
	llm := &http.Server{Handler: chats(func(w http.ResponseWriter, r *http.Request) { first.Add(1); answering(w) })}
	go llm.Serve(ln) //nolint:errcheck // ends with the test
	t.Cleanup(func() { llm.Close() })
	require.Eventually(t, func() bool { return r.post(ask).status == 200 && first.Load() > 0 }, guard, time.Millisecond)
	r.log.waitFor(t, "a backend is back", addr)
	before := first.Load()
	for range 5 {
		require.Equal(t, 200, r.post(ask).status)
	}
	require.Equal(t, before+5, first.Load(), "it has its place again")
}
