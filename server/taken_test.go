package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/server/testkit"
	"antwort/shared/config"
)

// rawClient speaks HTTP/1.1 by hand.
type rawClient struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, r *running) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(guard)))
	return &rawClient{t, conn, bufio.NewReader(conn)}
}

func (c *rawClient) send(request string) {
	c.t.Helper()
	_, err := io.WriteString(c.Conn, request)
	require.NoError(c.t, err)
}

// keepSending writes until the connection ends.
func (c *rawClient) keepSending(wire string, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ; wire != ""; <-tick.C {
		if _, err := io.WriteString(c.Conn, wire); err != nil {
			return
		}
	}
}

// open reads the header of an answer.
func (c *rawClient) open() *http.Response {
	c.t.Helper()
	for {
		resp, err := http.ReadResponse(c.r, nil)
		require.NoError(c.t, err)
		if resp.StatusCode >= 200 {
			return resp
		}
	}
}

func (c *rawClient) answer() answer {
	c.t.Helper()
	return finish(c.t, c.open())
}

// closed waits until the server has closed the connection.
func (c *rawClient) closed() {
	c.t.Helper()
	_, err := io.Copy(io.Discard, c.r)
	require.NoError(c.t, err)
}

func request(body string) string {
	return "POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

// A connection serves further requests after a streamed answer, whatever they
// are, also when they were sent early.
func TestConnectionsAfterStreams(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	back := start(t, config.VLLM, llm)
	stream := `{"model":"/mnt/models","input":"Count from 1 to 5.","stream":true}`
	whole := `{"model":"/mnt/models","input":"What is the capital of France?"}`
	bodies := []string{stream, whole, stream, stream, whole, whole, stream}
	check := func(c *rawClient, body string) {
		a := c.answer()
		require.Equal(t, 200, a.status)
		if body == stream {
			checkStream(t, a.body)
			require.Equal(t, "response.completed", lastEvent(t, a.body))
		} else {
			require.Contains(t, a.body, "Paris")
		}
	}
	for _, r := range []*running{back, back.front()} {
		t.Run("one after the other/"+string(r.first.cfg.Engine.Provider), func(t *testing.T) {
			c := dial(t, r)
			for _, body := range bodies {
				c.send(request(body))
				check(c, body)
			}
		})
		t.Run("all at once/"+string(r.first.cfg.Engine.Provider), func(t *testing.T) {
			c := dial(t, r)
			var all strings.Builder
			for _, body := range bodies {
				all.WriteString(request(body))
			}
			c.send(all.String())
			for _, body := range bodies {
				check(c, body)
			}
		})
		t.Run("the next one while the first is streamed/"+string(r.first.cfg.Engine.Provider), func(t *testing.T) {
			c := dial(t, r)
			slow := `{"model":"/mnt/models","input":"mock: delay=5ms tokens=20","stream":true}`
			c.send(request(slow))
			resp, err := http.ReadResponse(c.r, nil)
			require.NoError(t, err)
			c.send(request(whole)[:1])
			c.send(request(whole)[1:])
			checkStream(t, finish(t, resp).body)
			check(c, whole)
		})
		t.Run("an answer to one who wants no more/"+string(r.first.cfg.Engine.Provider), func(t *testing.T) {
			c := dial(t, r)
			c.send(strings.Replace(request(stream), "Host: x", "Host: x\r\nConnection: close", 1))
			check(c, stream)
			c.closed()
		})
		t.Run("HTTP/1.0/"+string(r.first.cfg.Engine.Provider), func(t *testing.T) {
			c := dial(t, r)
			c.send(strings.Replace(request(stream), "HTTP/1.1", "HTTP/1.0", 1))
			check(c, stream)
			c.closed()
		})
		t.Run("garbage after a stream/"+string(r.first.cfg.Engine.Provider), func(t *testing.T) {
			c := dial(t, r)
			c.send(request(stream))
			check(c, stream)
			c.send("what is this, it is no request line\r\n\r\n")
			require.Equal(t, 400, c.answer().status)
		})
	}
}

func TestIdleConnectionsAfterStreams(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	stream := `{"model":"/mnt/models","input":"hi","stream":true}`
	t.Run("are closed after idle_timeout", func(t *testing.T) {
		r := start(t, config.VLLM, llm, func(c *config.Config) { c.Server.IdleTimeout = 50 * time.Millisecond })
		c := dial(t, r)
		c.send(request(stream))
		require.Equal(t, 200, c.answer().status)
		c.closed()
	})
	t.Run("are closed by draining", func(t *testing.T) {
		r := start(t, config.VLLM, llm, func(c *config.Config) { c.Server.DrainTimeout = guard })
		c := dial(t, r)
		c.send(request(stream))
		require.Equal(t, 200, c.answer().status)
		r.stop()
		c.closed()
		r.drained()
	})
	t.Run("are forgotten when clients close them", func(t *testing.T) {
		r := start(t, config.VLLM, llm, func(c *config.Config) { c.Server.TakeOver = true })
		c := dial(t, r)
		c.send(request(stream))
		require.Equal(t, 200, c.answer().status)
		require.Equal(t, 1, r.door.Taken())
		c.Close()
		require.Eventually(t, func() bool { return r.door.Taken() == 0 }, guard, time.Millisecond)
	})
}

// Slow headers are cut off, on returned connections too.
func TestSlowHeaders(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	r := start(t, config.VLLM, llm, func(c *config.Config) { c.Server.ReadHeaderTimeout = 50 * time.Millisecond })
	fresh := dial(t, r)
	fresh.send("POST /v1/resp")
	fresh.closed()
	used := dial(t, r)
	used.send(request(`{"model":"/mnt/models","input":"hi","stream":true}`))
	require.Equal(t, 200, used.answer().status)
	used.send("POST /v1/resp")
	used.closed()
}

// A bad request on a stream that is ended before its body was read must not be
// taken for the next request.
func TestUnreadBodiesAreNoRequests(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	r := start(t, config.VLLM, llm)
	c := dial(t, r)
	inner := request(`{"model":"/mnt/models","input":"smuggled"}`)
	c.send(strings.Replace(request(inner), "application/json", "text/plain", 1))
	require.Equal(t, 415, c.answer().status)
	c.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	require.Equal(t, "ok\n", c.answer().body)
}

func TestReadiness(t *testing.T) {
	addr := testkit.Refused(t)
	r := start(t, config.VLLM, "http://"+addr.String())
	require.Equal(t, 200, r.call("GET", "/healthz", "").status)
	require.Equal(t, 503, r.call("GET", "/readyz", "").status)
	r.log.waitFor(t, "no contact with the upstream yet")
	ln, err := addr.Listen()
	require.NoError(t, err)
	failing := true
	llm := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if failing {
			failing = false
			w.WriteHeader(503) // a gateway whose model is still loading
			return
		}
		require.Equal(t, 503, r.call("GET", "/readyz", "").status)
		w.WriteHeader(401) // somebody is there
	})}
	go llm.Serve(ln) //nolint:errcheck // ends with the test
	t.Cleanup(func() { llm.Close() })
	require.Eventually(t, func() bool { return r.call("GET", "/readyz", "").status == 200 }, guard, 5*time.Millisecond)
	llm.Close()
	require.Equal(t, 200, r.call("GET", "/readyz", "").status)
	require.Equal(t, 503, r.post(ask).status)
}

// Without take-over a stream's connection stays with net/http, and clients see
// the same.
func TestTakeOver(t *testing.T) {
	for _, takes := range []bool{true, false} {
		t.Run(strconv.FormatBool(takes), func(t *testing.T) {
			goOn := make(chan struct{})
			r := start(t, config.VLLM, upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				send := sending(w)
				send(chatRole + chatText("a"))
				<-goOn
				send(chatFinish + chatUsage + chatDone)
			})), func(c *config.Config) { c.Server.TakeOver = takes })
			c := dial(t, r)
			c.send(request(askStream))
			resp, err := http.ReadResponse(c.r, nil)
			require.NoError(t, err)
			require.Equal(t, takes, r.door.Taken() == 1)
			close(goOn)
			a := finish(t, resp)
			checkStream(t, a.body)
			require.Equal(t, "response.completed", lastEvent(t, a.body))
			c.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			require.Equal(t, "ok\n", c.answer().body)
		})
	}
}
