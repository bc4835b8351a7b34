package upstream

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/testkit"
)

const guard = time.Minute

// both runs a test for each transport: what it says is true of both.
func both(t *testing.T, test func(t *testing.T, tr Transport)) {
	for name, tr := range map[string]Transport{"own": Own, "std": Std} {
		t.Run(name, func(t *testing.T) { test(t, tr) })
	}
}

func newClient(t *testing.T, tr Transport, base string, edit ...func(*Options)) *Client {
	t.Helper()
	opt := Options{Transport: tr, ConnectTimeout: guard, IdleTimeout: guard, MaxIdle: 100}
	for _, e := range edit {
		e(&opt)
	}
	c, err := New(base, opt)
	require.NoError(t, err)
	t.Cleanup(c.CloseIdle)
	return c
}

// wait waits for a channel.
func wait[T any](t *testing.T, c <-chan T, otherwise string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(guard):
		t.Fatal(otherwise)
	}
}

func post(body string) *Request {
	return &Request{Method: "POST", Target: "/x", Header: []byte("Content-Type: text/plain\r\n"), Body: []byte(body), HeaderTimeout: guard}
}

func do(t *testing.T, c *Client, req *Request) (int, string) {
	t.Helper()
	a, err := c.Do(t.Context(), req)
	require.NoError(t, err)
	defer a.Close()
	b, err := io.ReadAll(a)
	require.NoError(t, err)
	return a.Status, string(b)
}

func TestNewRefusesBadURLs(t *testing.T) {
	for _, base := range []string{"", "host:80", "ftp://x", "http://", "http://u:p@x", "http://x?a=b", "http://x#f", "http://[::1", "://"} {
		_, err := New(base, Options{})
		require.Error(t, err, base)
	}
	for _, base := range []string{"http://x", "https://x:1/", "http://[::1]:80/base"} {
		_, err := New(base, Options{})
		require.NoError(t, err, base)
	}
}

func TestExchange(t *testing.T) {
	both(t, func(t *testing.T, tr Transport) {
		ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s %s %d %s", r.Method, r.RequestURI, r.Host, r.Header.Get("A"), r.ContentLength, b)
		}))
		defer ts.Close()
		host := strings.TrimPrefix(ts.URL, "http://")
		c := newClient(t, tr, ts.URL+"/base/")
		header := AppendField(nil, "A", "b\r\nInjected: 1")
		status, body := do(t, c, &Request{Method: "POST", Target: "/x?y=z", Header: header, Body: []byte("hi")})
		require.Equal(t, 200, status)
		require.Equal(t, "POST /base/x?y=z "+host+" b  Injected: 1 2 hi", body)
		_, body = do(t, c, &Request{Method: "GET", Target: "/"})
		require.Equal(t, "GET /base/ "+host+"  0 ", body)
		for _, n := range []int{0, 1, 16 << 10, 16<<10 + 1, inline, inline + 1, 3 << 20} {
			text := strings.Repeat("x", n)
			_, body = do(t, c, post(text))
			require.Equal(t, fmt.Sprintf("POST /base/x %s  %d %s", host, n, text), body)
			half := n / 2
			_, body = do(t, c, &Request{Method: "POST", Target: "/x", Body: []byte(text[:half]), Stream: strings.NewReader(text[half:]), Length: int64(n)})
			require.Equal(t, fmt.Sprintf("POST /base/x %s  %d %s", host, n, text), body)
			_, body = do(t, c, &Request{Method: "POST", Target: "/x", Body: []byte(text[:half]), Stream: strings.NewReader(text[half:]), Length: -1})
			require.Equal(t, fmt.Sprintf("POST /base/x %s  -1 %s", host, text), body)
		}
	})
}

// answers are what upstreams send, and what it means.
var answers = []struct {
	name, answer string
	status       int
	body         string
	kept         bool
	kind         Kind // when status is 0
}{
	{"length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", true, 0},
	{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nTrailer: 1\r\n\r\n", 200, "hi", true, 0},
	{"until the end", "HTTP/1.1 200 OK\r\n\r\nhi", 200, "hi", false, 0},
	{"empty", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true, 0},
	{"closing", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", false, 0},
	{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", false, 0},
	{"informational first", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", true, 0},
	{"more than was asked for", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi and more", 200, "hi", false, 0},
	{"switching", "HTTP/1.1 101 Switching Protocols\r\n\r\n", 0, "", false, Malformed},
	{"nothing", "", 0, "", false, Closed},
	{"half a header", "HTTP/1.1 200 OK\r\nA: b\r\n", 0, "", false, Closed},
	{"not HTTP", "SSH-2.0-OpenSSH\r\n\r\n", 0, "", false, Malformed},
	{"status 000", "HTTP/1.1 000 x\r\n\r\n", 0, "", false, Malformed},
	{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi", 0, "", false, Malformed},
	{"an endless header", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", headerLimit) + "\r\n\r\n", 0, "", false, Malformed},
}

func TestAnswers(t *testing.T) {
	both(t, func(t *testing.T, tr Transport) {
		for _, c := range answers {
			t.Run(c.name, func(t *testing.T) {
				answers := []string{c.answer}
				if c.kept {
					answers = append(answers, c.answer) // the connection stays open for another
				}
				cl := newClient(t, tr, testkit.Answers(t, answers...))
				a, err := cl.Do(t.Context(), post("x"))
				if c.status == 0 {
					var e *Error
					require.ErrorAs(t, err, &e)
					require.Equal(t, c.kind, e.Kind, "%v", err)
					return
				}
				require.NoError(t, err)
				require.Equal(t, c.status, a.Status)
				b, err := io.ReadAll(a)
				require.NoError(t, err)
				require.Equal(t, c.body, string(b))
				a.Close()
				again := cl.take()
				require.Equal(t, c.kept, again != nil, "kept")
				if again != nil {
					again.close()
				}
			})
		}
	})
}

func TestTruncatedBodies(t *testing.T) {
	both(t, func(t *testing.T, tr Transport) {
		for _, answer := range []string{
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
		} {
			c := newClient(t, tr, testkit.Answers(t, answer))
			a, err := c.Do(t.Context(), post("x"))
			require.NoError(t, err)
			b, err := io.ReadAll(a)
			require.Equal(t, "hi", string(b))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			a.Close()
			require.Nil(t, c.take())
		}
	})
}

func TestConnectionsAreReused(t *testing.T) {
	both(t, func(t *testing.T, tr Transport) {
		var conns atomic.Int32
		ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
		}))
		ts.Config.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				conns.Add(1)
			}
		}
		ts.Start()
		defer ts.Close()
		c := newClient(t, tr, ts.URL, func(o *Options) { o.MaxIdle = 2 })
		for range 10 {
			do(t, c, post("x"))
		}
		require.EqualValues(t, 1, conns.Load())
		var open []*Answer
		for range 4 {
			a, err := c.Do(t.Context(), post("x"))
			require.NoError(t, err)
			open = append(open, a)
		}
		for _, a := range open {
			_, _ = io.Copy(io.Discard, a)
			a.Close()
			a.Close() // twice is once
		}
		require.Len(t, c.idle, 2, "max_idle")
	})
}

// A kept connection that the upstream closed is not used.
func TestClosedConnectionsAreNotReused(t *testing.T) {
	both(t, func(t *testing.T, tr Transport) {
		c := newClient(t, tr, testkit.Answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) // and closes
		for range 5 {
			do(t, c, post("x"))
			if len(c.idle) == 0 {
				continue
			}
			kept := c.idle[0]
			require.Eventually(t, func() bool { return !kept.alive() }, guard, time.Millisecond)
		}
	})
}

// A kept connection that breaks when it is used: only what may be repeated is.
func TestConnectionsThatBreakOnUse(t *testing.T) {
	both(t, func(t *testing.T, tr Transport) {
		for _, repeatable := range []bool{true, false} {
			var mu sync.Mutex
			bodies := []string{}
			var connections atomic.Int32
			base := testkit.Connections(t, func(conn net.Conn) {
				first := connections.Add(1) == 1
				buf := make([]byte, 4096)
				for n := 0; ; n++ {
					got, err := conn.Read(buf)
					if err != nil || first && n == 1 {
						return // the second request is read, and not answered
					}
					mu.Lock()
					bodies = append(bodies, string(buf[got-1:got]))
					mu.Unlock()
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			})
			c := newClient(t, tr, base)
			do(t, c, post("1"))
			req := post("2")
			req.Repeatable = repeatable
			a, err := c.Do(t.Context(), req)
			if !repeatable {
				var e *Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, Closed, e.Kind)
				continue
			}
			require.NoError(t, err)
			a.Close()
			mu.Lock()
			require.Equal(t, []string{"1", "2"}, bodies)
			mu.Unlock()
		}
	})
}

func TestIdleConnectionsExpire(t *testing.T) {
	both(t, func(t *testing.T, tr Transport) {
		gone := make(chan struct{}, 10)
		ts := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		ts.Config.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed {
				gone <- struct{}{}
			}
		}
		ts.Start()
		defer ts.Close()
		c := newClient(t, tr, ts.URL, func(o *Options) { o.IdleTimeout = 20 * time.Millisecond })
		for range 2 {
			do(t, c, post("x"))
			wait(t, gone, "an unused connection stays open")
		}
	})
}

func TestTLS(t *testing.T) {
	both(t, func(t *testing.T, tr Transport) {
		ts := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Proto, r.TLS != nil)
		}))
		defer ts.Close()
		_, err := newClient(t, tr, ts.URL).Do(t.Context(), post("x"))
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, Connect, e.Kind, "an unknown authority is trusted")
		c := newClient(t, tr, ts.URL, func(o *Options) { o.Files.CA = authority(t, ts) })
		for range 3 {
			_, body := do(t, c, post("x"))
			require.Equal(t, "HTTP/1.1true", body)
		}
		require.Len(t, c.idle, 1)
	})
}
