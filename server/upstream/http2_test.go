package upstream

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/testkit"
)

// http2Server serves HTTP/2, in TLS or in clear; new counts its connections.
func http2Server(t *testing.T, secure bool, h http.HandlerFunc, edit ...func(*http.Server)) (ts *httptest.Server, count *atomic.Int32) {
	t.Helper()
	count = new(atomic.Int32)
	ts = httptest.NewUnstartedServer(h)
	ts.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			count.Add(1)
		}
	}
	for _, e := range edit {
		e(ts.Config)
	}
	ts.EnableHTTP2 = true
	if secure {
		ts.StartTLS()
	} else {
		ts.Config.Protocols = new(http.Protocols)
		ts.Config.Protocols.SetUnencryptedHTTP2(true)
		ts.Start()
	}
	t.Cleanup(ts.Close)
	return ts, count
}

func http2Client(t *testing.T, ts *httptest.Server) *Client {
	t.Helper()
	return newClient(t, Auto, ts.URL, func(o *Options) {
		o.HTTP2 = true
		if ts.TLS != nil {
			o.Files.CA = authority(t, ts)
		}
	})
}

// Requests at once share a connection, and each gets its own answer.
func TestHTTP2(t *testing.T) {
	for _, secure := range []bool{true, false} {
		ts, conns := http2Server(t, secure, func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s %s %q %d %s", r.Proto, r.Method, r.RequestURI, r.Header.Get("A"), r.Header["User-Agent"], r.ContentLength, b)
		})
		c := http2Client(t, ts)
		var wg sync.WaitGroup
		for i := range 60 {
			wg.Go(func() {
				text := strings.Repeat(string(rune('a'+i%26)), 1+i*3000)
				req := post(text)
				req.Header = AppendField(nil, "A", "b")
				if i%3 == 0 {
					req.Body, req.Stream, req.Length = nil, strings.NewReader(text), -1
				}
				a, err := c.Do(t.Context(), req)
				if err != nil {
					t.Error(err)
					return
				}
				defer a.Close()
				b, err := io.ReadAll(a)
				length := len(text)
				if i%3 == 0 {
					length = -1
				}
				if want := fmt.Sprintf("HTTP/2.0 POST /x b [] %d %s", length, text); err != nil || string(b) != want {
					t.Errorf("got %.80s, %v, want %.80s", b, err, want)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, conns.Load(), "secure: %v", secure)
	}
}

// A backend that does not offer HTTP/2 is spoken to in HTTP/1.1.
func TestHTTP2IsNegotiated(t *testing.T) {
	ts := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
	defer ts.Close()
	c := http2Client(t, ts)
	for range 3 {
		_, body := do(t, c, post("x"))
		require.Equal(t, "HTTP/1.1", body)
	}
	require.Len(t, c.idle, 1)
}

func TestHTTP2Failures(t *testing.T) {
	release := make(chan struct{})
	ts, conns := http2Server(t, true, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/silent":
			<-r.Context().Done()
		case "/reset":
			panic(http.ErrAbortHandler)
		case "/cut":
			fmt.Fprint(w, "hi")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/late":
			fmt.Fprint(w, "hi")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-release:
			}
		case "/early":
			w.WriteHeader(413)
			fmt.Fprint(w, "no")
		case "/header":
			for i := range 20 {
				w.Header().Set(fmt.Sprint("A", i), strings.Repeat("x", headerLimit/16))
			}
		default:
			_, _ = io.Copy(w, r.Body)
		}
	})
	defer close(release)
	c := http2Client(t, ts)
	kind := func(path string, edit func(*Request)) Kind {
		t.Helper()
		req := post("x")
		req.Target = path
		if edit != nil {
			edit(req)
		}
		_, err := c.Do(t.Context(), req)
		var e *Error
		require.ErrorAs(t, err, &e)
		return e.Kind
	}
	require.Equal(t, Timeout, kind("/silent", func(r *Request) { r.HeaderTimeout = 20 * time.Millisecond }))
	require.Equal(t, Closed, kind("/reset", nil))
	boom := errors.New("boom")
	require.Equal(t, Body, kind("/", func(r *Request) { r.Stream, r.Length = failing{boom}, -1 }))
	require.Equal(t, Body, kind("/", func(r *Request) { r.Stream, r.Length = strings.NewReader("short"), 100 }))

	get := func(path string) *Answer {
		t.Helper()
		a, err := c.Do(t.Context(), &Request{Method: "GET", Target: path})
		require.NoError(t, err)
		return a
	}
	a := get("/cut")
	b, err := io.ReadAll(a)
	require.Equal(t, "hi", string(b))
	require.Error(t, err, "a reset looks like the end")
	a.Close()

	a = get("/late")
	a.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	b, err = io.ReadAll(a)
	require.Equal(t, "hi", string(b))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	a.Close()

	unblocked := make(chan struct{})
	waiting, feed := io.Pipe()
	defer feed.Close()
	a, err = c.Do(t.Context(), &Request{Method: "POST", Target: "/early", Body: []byte("x"), Stream: waiting, Length: -1, Unblock: func() {
		waiting.CloseWithError(io.ErrClosedPipe)
		close(unblocked)
	}})
	require.NoError(t, err)
	require.Equal(t, 413, a.Status)
	a.Close()
	wait(t, unblocked, "the body is awaited still")
	require.False(t, a.Sending())
	require.EqualValues(t, 1, conns.Load(), "failures of exchanges cost the connection")
	require.Equal(t, Malformed, kind("/header", nil))
}

// An upstream that takes few requests at once gets more connections.
func TestHTTP2Streams(t *testing.T) {
	const most = 5
	hold := make(chan struct{})
	ts, conns := http2Server(t, true, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-hold
	}, func(s *http.Server) { s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: most} })
	t.Cleanup(func() { close(hold) }) // before the server's end, which waits for them
	c := http2Client(t, ts)
	for range 4 * most {
		// With an answer's header the connection's limit is known: it came before.
		a, err := c.Do(t.Context(), post("x"))
		require.NoError(t, err)
		defer a.Close()
	}
	require.EqualValues(t, 4, conns.Load())
}

// Requests that wait for a connection that cannot be made are told all at once.
func TestHTTP2ConnectFails(t *testing.T) {
	ln := listen(t)
	testkit.Serve(t, ln, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }) // no handshake
	c := newClient(t, Auto, "https://"+ln.Addr().String(), func(o *Options) { o.HTTP2, o.ConnectTimeout = true, 50*time.Millisecond })
	began := time.Now()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, err := c.Do(t.Context(), post("x"))
			var e *Error
			if !errors.As(err, &e) || e.Kind != Connect {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	require.Less(t, time.Since(began), guard)
}

// Shared connections are let go when they are unused, and none is left behind.
func TestHTTP2ConnectionsExpire(t *testing.T) {
	gone := make(chan struct{}, 10)
	ts, _ := http2Server(t, false, func(http.ResponseWriter, *http.Request) {}, func(s *http.Server) {
		s.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				gone <- struct{}{}
			}
		}
	})
	c := newClient(t, Auto, ts.URL, func(o *Options) { o.HTTP2, o.IdleTimeout = true, 20*time.Millisecond })
	for range 2 {
		do(t, c, post("x"))
		wait(t, gone, "an unused connection stays open")
	}
	do(t, c, post("x"))
	c.CloseIdle()
	wait(t, gone, "a connection is left behind")
}
