package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/testkit"
	"antwort/shared/config"
)

// rawUpstream serves each connection that does not ask for models with handle.
func rawUpstream(t *testing.T, handle func(net.Conn, *bufio.Reader, *http.Request)) string {
	t.Helper()
	return testkit.Requests(t, func(conn net.Conn, r *bufio.Reader, req *http.Request) {
		if req.Method == http.MethodGet && req.URL.Path == "/v1/models" && req.URL.RawQuery == "" {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
			return
		}
		handle(conn, r, req)
	})
}

const rawStreamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

// An upstream may begin to answer while the request is still on its way: the
// request's memory is not used for another one before.
func TestRequestsUnderWayKeepTheirMemory(t *testing.T) {
	const size = 900 << 10 // more than the sockets take, and buffers of that size are used again
	started, goOn := make(chan struct{}, 10), make(chan struct{})
	got := make(chan string, 10)
	llm := rawUpstream(t, func(conn net.Conn, r *bufio.Reader, req *http.Request) {
		_, _ = io.WriteString(conn, rawStreamHead+chatRole)
		started <- struct{}{}
		<-goOn
		b, _ := io.ReadAll(req.Body)
		got <- string(b)
		_, _ = io.WriteString(conn, chatText("a")+chatFinish+chatUsage+chatDone)
	})
	r := start(t, config.VLLM, llm)
	var wg sync.WaitGroup
	for _, letter := range []string{"a", "b", "c"} {
		body := `{"model":"m","stream":true,"input":"` + strings.Repeat(letter, size) + `"}`
		wg.Go(func() {
			a := r.post(body)
			if a.status != 200 || lastEvent(t, a.body) != "response.completed" {
				t.Errorf("status %d: %.300s", a.status, a.body)
			}
		})
		wait(t, started, "the upstream's request")
	}
	for range 20 { // who takes the buffers now?
		r.post(`{"model":7,"input":"` + strings.Repeat("x", size) + `"}`)
	}
	close(goOn)
	wg.Wait()
	for range 3 {
		b := wait(t, got, "a request's body")
		letter := "a"
		for _, l := range []string{"b", "c"} {
			if strings.Count(b, l) > strings.Count(b, letter) {
				letter = l
			}
		}
		require.Contains(t, b, strings.Repeat(letter, size), "the request holds another one's bytes")
	}
}

// An upstream that breaks in the middle of an upload is the one to blame.
func TestUpstreamsThatBreakDuringUploads(t *testing.T) {
	llm := rawUpstream(t, func(conn net.Conn, r *bufio.Reader, _ *http.Request) {
		_, _ = io.CopyN(io.Discard, r, 10)
	})
	r := start(t, config.VLLMResponses, llm)
	for _, on := range []*running{r, r.overHTTP2()} {
		body, feed := io.Pipe()
		go func() { _, _ = feed.Write([]byte(strings.Repeat("x", 200<<10))) }() // the rest never comes
		resp := on.open("POST", "/v1/responses", body)
		got := finish(t, resp)
		require.Equal(t, 502, got.status, got.body)
		_, _, code := got.errorCode(t)
		require.Equal(t, "upstream_closed", code)
		_ = body.Close()
	}
	t.Run("the whole body was read, not sent", func(t *testing.T) {
		for range 20 {
			c := dial(t, r)
			body := request(strings.Repeat("x", 400<<10))
			go io.WriteString(c.Conn, body) //nolint:errcheck // the answer may come before
			got := c.answer()
			require.Equal(t, 502, got.status, got.body)
			c.Close()
		}
	})
	t.Run("a client that still sends is not reset", func(t *testing.T) {
		for range 5 {
			c := dial(t, r)
			go io.WriteString(c.Conn, "POST /v1/responses HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nf00000\r\n"+strings.Repeat("x", 0xf00000)) //nolint:errcheck // the answer comes before
			got := c.answer()
			require.Equal(t, 502, got.status, got.body)
			_, err := c.r.ReadByte()
			require.ErrorIs(t, err, io.EOF)
			c.Close()
		}
	})
}

// A client that stops in the middle of an upload is told so.
func TestUploadsThatStop(t *testing.T) {
	t.Parallel()
	llm := rawUpstream(t, func(conn net.Conn, r *bufio.Reader, _ *http.Request) { _, _ = io.Copy(io.Discard, r) })
	r := start(t, config.VLLMResponses, llm, func(c *config.Config) { c.Server.ReadTimeout = 100 * time.Millisecond })
	for range 10 {
		c := dial(t, r)
		c.send(request(strings.Repeat("x", 200<<10))[:150<<10])
		got := c.answer()
		require.Equal(t, 408, got.status, got.body)
		got.errorCode(t)
		c.Close()
	}
}
