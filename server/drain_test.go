package server

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// A client that keeps its connection open learns from the next answer that it is the
// last, so that no request is on its way when the connection closes.
func TestDrainPartsWithConnectionsByTheirNextAnswer(t *testing.T) {
	t.Parallel()
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if strings.Contains(string(b), `"stream":true`) {
			sending(w)(chatRole + chatText("a") + chatFinish + chatUsage + chatDone)
			return
		}
		answering(w)
	}))
	for name, body := range map[string]string{"whole": ask, "streamed": askStream} {
		t.Run(name, func(t *testing.T) {
			r := start(t, config.VLLM, llm, func(c *config.Config) { c.Server.DrainTimeout = guard })
			client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
			send := func() bool {
				resp, err := client.Post(r.url+"/v1/responses", "application/json", strings.NewReader(body))
				require.NoError(t, err)
				defer resp.Body.Close()
				_, err = io.Copy(io.Discard, resp.Body)
				require.NoError(t, err)
				require.Equal(t, 200, resp.StatusCode)
				return resp.Close
			}
			require.False(t, send())
			r.stop()
			require.Eventually(t, r.draining.Load, guard, time.Millisecond)
			require.True(t, send(), "it is the last")
			r.drained() // well before the guard: nobody is left to wait for
		})
	}
}

// Draining lets running answers finish, and takes no new ones.
func TestDrainWaitsForAnswers(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}, 10), make(chan struct{})
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if strings.Contains(string(b), `"stream":true`) {
			send := sending(w)
			send(chatRole)
			begun <- struct{}{}
			<-release
			send(chatText("a") + chatFinish + chatUsage + chatDone)
			return
		}
		begun <- struct{}{}
		<-release
		answering(w)
	}))
	r := start(t, config.VLLM, llm, func(c *config.Config) { c.Server.DrainTimeout = guard })
	require.Equal(t, 200, r.call("GET", "/healthz", "").status)
	var wg sync.WaitGroup
	for _, c := range []struct {
		on   *running
		body string
	}{{r, ask}, {r, askStream}, {r.overHTTP2(), ask}, {r.overHTTP2(), askStream}} {
		wg.Go(func() {
			got := c.on.post(c.body)
			if got.status != 200 || c.body == askStream && lastEvent(t, got.body) != "response.completed" {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
	for range 4 {
		wait(t, begun, "the upstream's request")
	}
	r.stop()
	require.Eventually(t, r.draining.Load, guard, time.Millisecond)
	require.Eventually(t, func() bool {
		resp, err := r.do(t.Context(), "GET", "/readyz", nil)
		if err != nil {
			return true // nobody listens any more
		}
		defer resp.Body.Close()
		require.Equal(t, 503, resp.StatusCode, "ready while draining")
		return false
	}, guard, time.Millisecond)
	close(release)
	wg.Wait()
	r.drained()
}

// A second signal does not wait for drain_timeout, and what is cut is told so.
func TestCutEndsDraining(t *testing.T) {
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		sending(w)(chatRole)
		<-r.Context().Done()
	}))
	cut, end := context.WithCancel(t.Context())
	r := startWith(t, Options{Cut: cut}, config.VLLM, llm, func(c *config.Config) { c.Server.DrainTimeout = time.Hour })
	resp := r.open("POST", "/v1/responses", strings.NewReader(askStream)) // it has begun
	r.stop()
	require.Eventually(t, r.draining.Load, guard, time.Millisecond)
	end()
	require.Equal(t, "response.failed", lastEvent(t, finish(t, resp).body))
	r.drained()
}

// What runs longer than drain_timeout is ended properly.
func TestDrainEndsAnswers(t *testing.T) {
	t.Parallel()
	servers := map[string]func(t *testing.T, llm string) *running{
		"backend":  func(t *testing.T, llm string) *running { return start(t, config.VLLM, llm) },
		"HTTP/2":   func(t *testing.T, llm string) *running { return start(t, config.VLLM, llm).overHTTP2() },
		"frontend": func(t *testing.T, llm string) *running { return start(t, config.VLLM, llm).front() },
	}
	for name, serve := range servers {
		upstream := func(t *testing.T, sent string) (url string, begun, left chan struct{}) {
			begun, left = make(chan struct{}, 1), make(chan struct{}, 1)
			url = upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if sent != "" {
					sending(w)(sent)
				}
				begun <- struct{}{}
				<-r.Context().Done()
				left <- struct{}{}
			}))
			return url, begun, left
		}
		for _, c := range []struct{ name, body, sent string }{
			{"whole", ask, ""}, {"stream before the header", askStream, ""}, {"stream before the first event", askStream, ": nothing yet\n\n"},
		} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				llm, begun, left := upstream(t, c.sent)
				r := serve(t, llm)
				got := make(chan answer, 1)
				go func() { got <- r.post(c.body) }()
				wait(t, begun, "the upstream's request")
				r.stop()
				a := wait(t, got, "the answer")
				require.Equal(t, 503, a.status, a.body)
				_, _, code := a.errorCode(t)
				require.Equal(t, "server_shutting_down", code)
				require.NotEmpty(t, a.header.Get("Retry-After"))
				wait(t, left, "the upstream was not told")
				r.drained()
			})
		}
		t.Run("stream/"+name, func(t *testing.T) {
			t.Parallel()
			llm, begun, left := upstream(t, chatRole+chatText("a"))
			r := serve(t, llm)
			resp := r.open("POST", "/v1/responses", strings.NewReader(askStream))
			ev := readEvents(t, resp.Body)
			got := ev.until("response.output_text.delta")
			r.stop()
			got += ev.until("response.failed") + ev.next()
			require.Empty(t, ev.next(), "the body has no proper end")
			checkStream(t, got)
			require.Equal(t, "response.failed", lastEvent(t, got))
			require.Contains(t, got, "server_shutting_down")
			wait(t, begun, "the upstream's request")
			wait(t, left, "the upstream was not told")
			r.drained()
		})
	}
}

// A panic fails one request, and is told as well as is still possible.
func TestPanics(t *testing.T) {
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		sending(w)(chatRole + chatText("a"))
		<-r.Context().Done()
	}))
	var mu sync.Mutex
	calls, failAt := 0, 0
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		calls++
		if calls == failAt {
			panic("the clock has stopped at http://10.0.0.1")
		}
		return time.Now()
	}
	r := startWith(t, Options{Now: clock}, config.VLLM, llm)
	for _, on := range []*running{r, r.overHTTP2()} {
		for _, c := range []struct {
			name   string
			at     int
			status int
		}{{"before anything was written", 1, 500}, {"at the first event", 2, 500}} {
			t.Run(c.name, func(t *testing.T) {
				mu.Lock()
				calls, failAt = 0, c.at
				mu.Unlock()
				got := on.post(askStream)
				require.Equal(t, c.status, got.status, got.body)
				_, _, code := got.errorCode(t)
				require.Equal(t, "internal_error", code)
				require.NotContains(t, got.body, "10.0.0.1")
			})
		}
	}
	t.Run("in the middle of a stream", func(t *testing.T) {
		more := make(chan struct{})
		llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			send := sending(w)
			send(chatRole + chatText("a"))
			<-more
			send(chatText("b"))
			<-r.Context().Done()
		}))
		r := startWith(t, Options{Now: clock}, config.VLLM, llm)
		for _, on := range []*running{r, r.overHTTP2()} {
			mu.Lock()
			calls, failAt = 0, 3
			mu.Unlock()
			resp := on.open("POST", "/v1/responses", strings.NewReader(askStream))
			ev := readEvents(t, resp.Body)
			got := ev.until("response.output_text.delta")
			more <- struct{}{}
			got += ev.until("response.failed") + ev.next()
			checkStream(t, got)
			require.Equal(t, "response.failed", lastEvent(t, got))
			resp.Body.Close()
		}
		require.EqualValues(t, 2, metric(t, r, "antwort_panics_total"))
		require.Equal(t, 200, r.call("GET", "/healthz", "").status)
	})
	require.EqualValues(t, 4, metric(t, r, "antwort_panics_total"))
	r.log.waitFor(t, `"msg":"panic"`, "the clock has stopped")
}
