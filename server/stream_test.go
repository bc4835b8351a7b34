package server

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/shared/config"
)

var wholeStream = []string{chatRole, chatText("one "), chatText("two"), chatFinish, chatUsage, chatDone}

// A stream that the upstream cuts, wherever, ends with a terminal event, and
// never as completed before its finish_reason came.
func TestCutStreams(t *testing.T) {
	all := strings.Join(wholeStream, "")
	var cut atomic.Pointer[func(w http.ResponseWriter)]
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		(*cut.Load())(w)
	}))
	back := start(t, config.VLLM, llm)
	front := back.front()
	finishAt := strings.Index(all, chatFinish) + len(chatFinish)
	for at := 0; at < len(all); at += 1 + at%7 {
		for _, proper := range []bool{true, false} { // the body's end, or the connection's
			step := func(w http.ResponseWriter) {
				streaming(w)(all[:at])
				if !proper {
					panic(http.ErrAbortHandler)
				}
			}
			cut.Store(&step)
			for _, r := range []*running{back, front} {
				got := r.post(askStream)
				if at < len(chatRole) {
					require.Equal(t, 502, got.status, "cut at %d: nothing came, so a status is possible", at)
					_, _, code := got.errorCode(t)
					require.Equal(t, "upstream_cut", code)
					continue
				}
				require.Equal(t, 200, got.status)
				checkStream(t, got.body)
				want := "response.failed"
				if at >= finishAt {
					want = "response.completed"
				}
				require.Equal(t, want, lastEvent(t, got.body), "cut at %d of %q", at, all)
			}
		}
	}
}

// A backend that dies under the frontend: the frontend ends the stream itself.
func TestForwardedStreamsThatAreCut(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	whole := start(t, config.VLLM, llm).post(`{"model":"/mnt/models","input":"Count from 1 to 5.","stream":true}`)
	require.Equal(t, 200, whole.status)
	terminal := strings.Index(whole.body, "event: response.completed")
	var cut atomic.Int64
	back := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		streaming(w)(whole.body[:cut.Load()])
		panic(http.ErrAbortHandler)
	}))
	front := start(t, config.VLLMResponses, back)
	created := strings.Index(whole.body, "\n\n") + 2
	for at := 0; at < len(whole.body); at += 1 + at%97 {
		cut.Store(int64(at))
		got := front.post(askStream)
		if at < created { // no event passed: there is a status
			require.Contains(t, got.body, "upstream_cut")
			continue
		}
		require.Equal(t, 200, got.status)
		if at > terminal && strings.Contains(got.body, "response.completed") {
			require.True(t, strings.HasPrefix(whole.body, got.body))
			continue
		}
		require.Equal(t, "response.failed", lastEvent(t, got.body), "cut at %d", at)
		if strings.Contains(got.body, "response.in_progress") {
			checkStream(t, got.body)
		}
	}
}

// An error in the place of the first event becomes a real status.
func TestInBandErrors(t *testing.T) {
	for _, c := range []struct {
		name, first string
		status      int
		code        string
	}{
		{"bad request", `{"error":{"message":"too long: This model's maximum context length is 10 tokens","type":"BadRequestError","param":"input_tokens","code":400}}`, 400, "context_length_exceeded"},
		{"overload", `{"error":{"message":"busy","type":"x","param":null,"code":429}}`, 429, ""},
		{"server", `{"error":{"message":"EngineCore encountered an issue at /usr/lib/x.py","type":"InternalServerError","param":null,"code":500}}`, 500, "upstream_error"},
		{"not JSON", `what`, 502, "upstream_invalid_answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
				streaming(w)("data: " + c.first + "\n\n" + chatDone)
			}))
			back := start(t, config.VLLM, llm)
			for _, r := range []*running{back, back.front()} {
				got := r.post(askStream)
				require.Equal(t, c.status, got.status, got.body)
				_, _, code := got.errorCode(t)
				if c.code != "" {
					require.Equal(t, c.code, code)
				}
				require.Equal(t, "application/json", got.header.Get("Content-Type"))
				require.NotContains(t, got.body, "/usr/lib")
			}
		})
	}
	t.Run("later", func(t *testing.T) {
		llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
			streaming(w)(chatRole + chatText("a") + `data: {"error":{"message":"boom","type":"x","param":null,"code":500}}` + "\n\n" + chatDone)
		}))
		back := start(t, config.VLLM, llm)
		for _, r := range []*running{back, back.front()} {
			got := r.post(askStream)
			require.Equal(t, 200, got.status)
			checkStream(t, got.body)
			require.Equal(t, "response.failed", lastEvent(t, got.body))
		}
	})
}

// Upstream answers that fit no request become 502, not half a stream.
func TestWrongKindsOfAnswers(t *testing.T) {
	for _, c := range []struct {
		name, body string
		answer     func(http.ResponseWriter)
	}{
		{"whole for a stream", askStream, answering},
		{"stream for a whole", ask, streamingAll},
		{"html", ask, func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>10.0.0.1") }},
		{"html for a stream", askStream, func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>10.0.0.1") }},
		{"redirect", ask, func(w http.ResponseWriter) { w.Header().Set("Location", "http://x"); w.WriteHeader(302) }},
		{"cut", ask, func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, chatWhole)
			panic(http.ErrAbortHandler)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &scripted{steps: []func(http.ResponseWriter){c.answer}}
			back := start(t, config.VLLM, upstreamOf(t, s))
			for _, r := range []*running{back, back.front()} {
				got := r.post(c.body)
				require.Equal(t, 502, got.status, got.body)
				got.errorCode(t)
				require.NotContains(t, got.body, "10.0.0.1")
			}
		})
	}
}

func TestTimeLimits(t *testing.T) {
	t.Run("no header within response_timeout", func(t *testing.T) {
		for _, body := range []string{ask, askStream} {
			left := make(chan struct{})
			llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
				close(left)
			}))
			r := start(t, config.VLLM, llm, func(c *config.Config) { c.Engine.ResponseTimeout = 50 * time.Millisecond })
			got := r.post(body)
			require.Equal(t, 504, got.status, got.body)
			_, _, code := got.errorCode(t)
			require.Equal(t, "upstream_timeout", code)
			wait(t, left, "the upstream was not told")
		}
	})
	t.Run("silence within a stream", func(t *testing.T) {
		for begin, keepAlive := range map[string]time.Duration{"": time.Hour, chatRole: time.Hour, chatRole + chatText("a"): 10 * time.Millisecond} {
			left := make(chan struct{}, 2)
			llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				streaming(w)(begin)
				<-r.Context().Done()
				left <- struct{}{}
			}))
			idle := func(c *config.Config) {
				c.Engine.StreamIdleTimeout, c.Server.KeepAliveInterval = 60*time.Millisecond, keepAlive
			}
			back := start(t, config.VLLM, llm, idle)
			for _, r := range []*running{back, back.front()} {
				got := r.post(askStream)
				wait(t, left, "the upstream was not told")
				if begin == "" {
					require.Equal(t, 504, got.status, got.body)
					continue
				}
				checkStream(t, got.body)
				require.Equal(t, "response.failed", lastEvent(t, got.body))
				require.Contains(t, got.body, "upstream_timeout")
			}
		}
	})
	t.Run("a long stream that is not silent", func(t *testing.T) {
		llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
			send := streaming(w)
			send(chatRole)
			for range 30 {
				time.Sleep(10 * time.Millisecond)
				send(chatText("a"))
			}
			send(chatFinish + chatUsage + chatDone)
		}))
		idle := func(c *config.Config) {
			c.Engine.StreamIdleTimeout, c.Engine.ResponseTimeout, c.Server.ReadTimeout = 150*time.Millisecond, 150*time.Millisecond, 150*time.Millisecond
		}
		back := start(t, config.VLLM, llm, idle)
		for _, r := range []*running{back, back.front(idle)} {
			got := r.post(askStream)
			require.Equal(t, "response.completed", lastEvent(t, got.body))
		}
	})
}

// Silent streams get comments, and their first events when nothing came yet.
func TestKeepAlive(t *testing.T) {
	often := func(c *config.Config) { c.Server.KeepAliveInterval = 20 * time.Millisecond }
	for _, c := range []struct {
		name    string
		silence func(w http.ResponseWriter) func(string) // before the pause
	}{
		{"before the header", func(w http.ResponseWriter) func(string) { return nil }},
		{"before the first event", streaming},
		{"after the first event", func(w http.ResponseWriter) func(string) {
			send := streaming(w)
			send(chatRole)
			return send
		}},
		{"within an event", func(w http.ResponseWriter) func(string) {
			send := streaming(w)
			send(chatRole + chatText("a")[:20])
			return func(s string) { send(chatText("a")[20:] + s) }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			resume := make(chan struct{})
			llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				send := c.silence(w)
				<-resume
				if send == nil {
					send = streaming(w)
				}
				send(chatText("b") + chatFinish + chatUsage + chatDone)
			}))
			back := start(t, config.VLLM, llm, often)
			for _, r := range []*running{back, back.front(often), back.overHTTP2()} {
				resp := r.open("POST", "/v1/responses", strings.NewReader(askStream))
				require.Equal(t, 200, resp.StatusCode)
				ev := readEvents(t, resp.Body)
				var got strings.Builder
				for comments := 0; comments < 3; {
					e := ev.next()
					got.WriteString(e)
					if e == comment {
						comments++
					}
				}
				require.Contains(t, got.String(), "response.created")
				resume <- struct{}{}
				got.WriteString(ev.until("response.completed") + ev.next())
				checkStream(t, got.String())
				resp.Body.Close()
			}
		})
	}
}

// After the stream was begun by a keep-alive, errors are events.
func TestErrorAfterKeepAlive(t *testing.T) {
	resume := make(chan struct{})
	s := &scripted{steps: []func(http.ResponseWriter){func(w http.ResponseWriter) {
		<-resume
		refusing(400, "")(w)
	}}}
	r := start(t, config.VLLM, upstreamOf(t, s), func(c *config.Config) { c.Server.KeepAliveInterval = 20 * time.Millisecond })
	resp := r.open("POST", "/v1/responses", strings.NewReader(askStream))
	require.Equal(t, 200, resp.StatusCode)
	close(resume)
	got := finish(t, resp)
	checkStream(t, got.body)
	require.Equal(t, "response.failed", lastEvent(t, got.body))
}

// A client that leaves takes its work with it.
func TestClientAbort(t *testing.T) {
	for _, c := range []struct {
		name   string
		body   string
		before string // what the upstream has sent by then
	}{
		{"whole", ask, ""},
		{"stream before the header", askStream, ""},
		{"stream before the first event", askStream, ": nothing yet\n\n"},
		{"stream", askStream, chatRole + chatText("a")},
	} {
		t.Run(c.name, func(t *testing.T) {
			begun, left := make(chan struct{}, 1), make(chan time.Time, 1)
			llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if c.before != "" {
					streaming(w)(c.before)
				}
				begun <- struct{}{}
				<-r.Context().Done()
				left <- time.Now()
			}))
			back := start(t, config.VLLM, llm)
			for _, r := range []*running{back, back.front(), back.overHTTP2()} {
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() {
					resp, err := r.do(ctx, "POST", "/v1/responses", strings.NewReader(c.body), "X-Request-Id", "leaver")
					if err == nil {
						_, _ = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
				})
				wait(t, begun, "the upstream's request")
				at := time.Now()
				cancel()
				took := wait(t, left, "the upstream was not told").Sub(at)
				t.Logf("upstream told after %s", took)
				wg.Wait()
				line := r.log.waitFor(t, `"msg":"request"`, "leaver")
				require.Equal(t, "client_gone", line["failure"])
			}
		})
	}
}

// A client that stops reading stops the upstream's reading, and is let go in
// the end.
func TestClientThatDoesNotRead(t *testing.T) {
	left := make(chan struct{})
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		send := streaming(w)
		send(chatRole)
		for r.Context().Err() == nil {
			send(chatText(strings.Repeat("x", 64<<10)))
		}
		close(left)
	}))
	r := start(t, config.VLLM, llm, func(c *config.Config) {
		c.Engine.StreamIdleTimeout, c.Server.KeepAliveInterval = 200*time.Millisecond, 50*time.Millisecond
	})
	resp := r.open("POST", "/v1/responses", strings.NewReader(askStream))
	defer resp.Body.Close()
	wait(t, left, "the upstream was not told")
	r.log.waitFor(t, `"failure":"client_gone"`)
}

// An event over the limit ends the stream instead of filling the memory.
func TestEventOverTheLimit(t *testing.T) {
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		send := streaming(w)
		send(chatRole + chatText("a"))
		send(chatText(strings.Repeat("x", 100<<10)))
		<-r.Context().Done()
	}))
	limit := func(c *config.Config) { c.Limits.EventBytes = 32 << 10 }
	for _, r := range []*running{start(t, config.VLLM, llm, limit), start(t, config.VLLM, llm).front(limit)} {
		got := r.post(askStream)
		checkStream(t, got.body)
		require.Equal(t, "response.failed", lastEvent(t, got.body))
	}
}

// Hundreds of streams at once do not mix.
func TestManyStreams(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	back := start(t, config.VLLM, llm)
	front := back.front()
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			word := strings.Repeat("w", i%40+1) + string(rune('a'+i%26))
			got := front.post(`{"model":"/mnt/models","stream":true,"input":"mock: delay=1ms text=\"` + word + `\""}`)
			if got.status != 200 || !strings.Contains(got.body, `"text":"`+word+`"`) || lastEvent(t, got.body) != "response.completed" {
				t.Errorf("status %d, no %q in %s", got.status, word, got.body)
			}
			checkStream(t, got.body)
		})
	}
	wg.Wait()
	require.EqualValues(t, 0, metric(t, back, "antwort_streams_in_flight"))
	require.EqualValues(t, 0, metric(t, front, "antwort_streams_in_flight"))
}
