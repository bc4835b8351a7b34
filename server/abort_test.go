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
					sending(w)(c.before)
				}
				select {
				case begun <- struct{}{}:
				case <-r.Context().Done(): // one that nobody waits for, which must not hold up the test's end
					return
				}
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
	t.Parallel()
	left := make(chan struct{})
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		send := sending(w)
		send(chatRole)
		for r.Context().Err() == nil {
			send(chatText(strings.Repeat("x", 64<<10)))
		}
		close(left)
	}))
	r := start(t, config.VLLM, llm, func(c *config.Config) {
		c.Engine.StreamIdleTimeout, c.Server.KeepAliveInterval = time.Second, 50*time.Millisecond
	})
	resp := r.open("POST", "/v1/responses", strings.NewReader(askStream))
	defer resp.Body.Close()
	wait(t, left, "the upstream was not told")
	r.log.waitFor(t, `"failure":"client_gone"`)
}
