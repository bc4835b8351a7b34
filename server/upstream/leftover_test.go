package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/testkit"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return ln
}

// What an upstream sends on its own account, on a kept connection, is nobody's
// answer: with TLS too, where session tickets come that way as well.
func TestUnaskedAnswersAreNotTaken(t *testing.T) {
	both(t, func(t *testing.T, tr Transport) {
		cert := httptest.NewUnstartedServer(http.NotFoundHandler())
		cert.StartTLS()
		defer cert.Close()
		for _, secure := range []bool{false, true} {
			ln := listen(t)
			base := "http://" + ln.Addr().String()
			if secure {
				base = "https://" + ln.Addr().String()
				ln = tls.NewListener(ln, cert.TLS.Clone())
			}
			unasked := make(chan struct{}, 10)
			testkit.Serve(t, ln, func(conn net.Conn) {
				r := bufio.NewReader(conn)
				for {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
					time.Sleep(5 * time.Millisecond) // so that one read does not bring both
					_, _ = io.WriteString(conn, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nlate")
					unasked <- struct{}{}
				}
			})
			c := newClient(t, tr, base, func(o *Options) {
				o.Files.CA = authority(t, cert)
			})
			for range 3 {
				status, body := do(t, c, post("x"))
				require.Equal(t, 200, status, "secure: %v", secure)
				require.Equal(t, "hi", body)
				<-unasked
				time.Sleep(5 * time.Millisecond) // on its way
			}
		}
	})
}

// A deadline of one answer is not the next one's.
func TestDeadlinesEndWithTheirAnswer(t *testing.T) {
	both(t, func(t *testing.T, tr Transport) {
		ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				time.Sleep(50 * time.Millisecond)
			}
		}))
		defer ts.Close()
		c := newClient(t, tr, ts.URL)
		a, err := c.Do(t.Context(), &Request{Method: "GET", Target: "/"})
		require.NoError(t, err)
		a.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, _ = io.Copy(io.Discard, a)
		a.Close()
		require.Len(t, c.idle, 1)
		a, err = c.Do(t.Context(), &Request{Method: "GET", Target: "/slow"})
		require.NoError(t, err)
		a.Close()
	})
}

// A body that is streamed can be sent once only.
func TestStreamedBodiesAreNotRepeated(t *testing.T) {
	both(t, func(t *testing.T, tr Transport) {
		ln := listen(t)
		var bodies []string
		got := make(chan string, 10)
		testkit.Serve(t, ln, func(conn net.Conn) {
			r := bufio.NewReader(conn)
			for n := 0; ; n++ {
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				b, _ := io.ReadAll(req.Body)
				got <- string(b)
				if n == 1 {
					return // the second request on a connection is not answered
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		})
		c := newClient(t, tr, "http://"+ln.Addr().String())
		do(t, c, post("1"))
		a, err := c.Do(t.Context(), &Request{Method: "GET", Target: "/", Body: []byte("a"), Stream: strings.NewReader("b"), Length: -1, Repeatable: true})
		if err == nil {
			a.Close()
		}
		for range len(got) {
			bodies = append(bodies, <-got)
		}
		require.Equal(t, []string{"1", "ab"}, bodies)
		require.Error(t, err)
	})
}

// An upstream that breaks while the body is still awaited: the failure is the
// upstream's, not the body's that is let go for it.
func TestBreaksWhileTheBodyIsAwaited(t *testing.T) {
	both(t, func(t *testing.T, tr Transport) {
		for _, how := range []string{"closed", "no HTTP", "silent"} {
			ln := listen(t)
			testkit.Serve(t, ln, func(conn net.Conn) {
				_, _ = conn.Read(make([]byte, 4096))
				switch how {
				case "no HTTP":
					_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH\r\n\r\n")
				case "silent":
					_, _ = io.Copy(io.Discard, conn)
				}
			})
			waiting, feed := io.Pipe()
			defer feed.Close()
			c := newClient(t, tr, "http://"+ln.Addr().String())
			_, err := c.Do(t.Context(), &Request{Method: "POST", Target: "/", Body: []byte("x"), Stream: waiting, Length: 10,
				HeaderTimeout: 100 * time.Millisecond, Unblock: func() { waiting.CloseWithError(io.ErrClosedPipe) }})
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, map[string]Kind{"closed": Closed, "no HTTP": Malformed, "silent": Timeout}[how], e.Kind, "%s: %v", how, err)
		}
	})
}

// A reset is an error to those who wait for the body first, too.
func TestResetsShowAfterWaiting(t *testing.T) {
	both(t, func(t *testing.T, tr Transport) {
		ln := listen(t)
		testkit.Serve(t, ln, func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\nhi")
			time.Sleep(10 * time.Millisecond)
			_ = conn.(*net.TCPConn).SetLinger(0)
		})
		c := newClient(t, tr, "http://"+ln.Addr().String())
		a, err := c.Do(t.Context(), post("x"))
		require.NoError(t, err)
		defer a.Close()
		var got []byte
		for {
			a.Wait()
			var n int
			b := make([]byte, 10)
			n, err = a.Read(b)
			if got = append(got, b[:n]...); err != nil {
				break
			}
		}
		require.Equal(t, "hi", string(got))
		require.NotEqual(t, io.EOF, err, "a reset looks like the end")
	})
}

// Ending the context at any moment leaves neither a hang nor a used-up
// connection in the pool.
func TestContextsEndingAtAnyMoment(t *testing.T) {
	both(t, func(t *testing.T, tr Transport) {
		ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			_, _ = w.Write(b)
		}))
		defer ts.Close()
		c := newClient(t, tr, ts.URL)
		for i := range 300 {
			text := strings.Repeat(string(rune('a'+i%26)), 1+i*500)
			ctx, cancel := context.WithCancel(t.Context())
			timer := time.AfterFunc(time.Duration(i%40)*25*time.Microsecond, cancel)
			a, err := c.Do(ctx, post(text))
			if err == nil {
				b, err := io.ReadAll(a)
				if err == nil {
					require.Equal(t, text, string(b))
				}
				a.Close()
			}
			timer.Stop()
			cancel()
			if i%10 == 0 {
				_, body := do(t, c, post("clean"))
				require.Equal(t, "clean", body)
			}
		}
	})
}
