package server

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

func TestTimeLimits(t *testing.T) {
	t.Parallel()
	t.Run("no header within response_timeout", func(t *testing.T) {
		for _, body := range []string{ask, askStream} {
			left := make(chan struct{})
			llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
				close(left)
			}))
			// Long enough for a busy machine to send the request at all.
			r := start(t, config.VLLM, llm, func(c *config.Config) { c.Engine.ResponseTimeout = 500 * time.Millisecond })
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
				w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
				_, _ = io.WriteString(w, begin) // with the header at once, or a busy machine is silent in between
				_ = http.NewResponseController(w).Flush()
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
		const limit = 3 * time.Second // a busy machine is silent for a while, too
		llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
			send := sending(w)
			send(chatRole)
			more := time.NewTicker(10 * time.Millisecond)
			defer more.Stop()
			for begun := time.Now(); time.Since(begun) < limit*3/2; <-more.C {
				send(chatText("a"))
			}
			send(chatFinish + chatUsage + chatDone)
		}))
		idle := func(c *config.Config) {
			c.Engine.StreamIdleTimeout, c.Engine.ResponseTimeout, c.Server.ReadTimeout = limit, limit, limit
		}
		back := start(t, config.VLLM, llm, idle)
		got := make(chan answer, 2)
		for _, r := range []*running{back, back.front(idle)} {
			go func() { got <- r.post(askStream) }()
		}
		for range 2 {
			require.Equal(t, "response.completed", lastEvent(t, wait(t, got, "the answer").body))
		}
	})
}

// Silent streams get comments, and their first events when nothing came yet.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	often := func(c *config.Config) { c.Server.KeepAliveInterval = 20 * time.Millisecond }
	for _, c := range []struct {
		name    string
		silence func(w http.ResponseWriter) func(string) // before the pause
	}{
		{"before the header", func(w http.ResponseWriter) func(string) { return nil }},
		{"before the first event", sending},
		{"after the first event", func(w http.ResponseWriter) func(string) {
			send := sending(w)
			send(chatRole)
			return send
		}},
		{"within an event", func(w http.ResponseWriter) func(string) {
			send := sending(w)
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
					send = sending(w)
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
					if e == ": keep-alive\n\n" {
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
