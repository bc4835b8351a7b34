package ingress

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What Conn assumes of net/http, one test for each. They watch http.Server with a
// connection that tells what is done with it. When one of them fails with another
// Go, or TestVersionsOfGo does, look at net/http's conn.serve, connReader and
// Hijack, and then at Conn.

// lookedAt are the versions of Go whose net/http was read.
var lookedAt = []string{"go1.26"}

func TestVersionsOfGo(t *testing.T) {
	version := regexp.MustCompile(`^go\d+\.\d+`).FindString(runtime.Version())
	require.Contains(t, lookedAt, version, "nobody has looked at the net/http of %s: read it, see that the tests here say all that Conn assumes, and add it", runtime.Version())
}

// spy is a connection that keeps what net/http does with it.
type spy struct {
	net.Conn
	mu   sync.Mutex
	did  []string
	told *sync.Cond

	reading atomic.Int32
}

func (s *spy) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.did = append(s.did, fmt.Sprintf(format, args...))
	s.told.Broadcast()
}

func (s *spy) Read(p []byte) (int, error) {
	s.note("read")
	s.reading.Add(1)
	n, err := s.Conn.Read(p)
	s.reading.Add(-1)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.note("timeout")
	}
	return n, err
}

func (s *spy) Write(p []byte) (int, error) {
	s.note("write %.12s", p)
	return s.Conn.Write(p)
}

func (s *spy) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && t.Before(time.Now()) {
		s.note("abort")
	}
	return s.Conn.SetReadDeadline(t)
}

// await waits until it was done.
func (s *spy) await(what string) { s.awaitCount(what, 1) }

func (s *spy) awaitCount(what string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.counted(what) < n {
		s.told.Wait()
	}
}

// count is how often it was done.
func (s *spy) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counted(what)
}

func (s *spy) counted(what string) (n int) {
	for _, did := range s.did {
		if did == what {
			n++
		}
	}
	return n
}

// watched serves one connection and returns its client's side.
func watched(t *testing.T, handler func(s *spy, w http.ResponseWriter, r *http.Request)) (*spy, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &spy{}
	s.told = sync.NewCond(&s.mu)
	hs := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler(s, w, r) }),
		ReadHeaderTimeout: guard,
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateIdle && s.reading.Load() > 0 {
				s.note("idle while it is read")
			}
			s.note("%s", state)
		},
	}
	go hs.Serve(spying{ln, s}) //nolint:errcheck // ends with the test
	t.Cleanup(func() { hs.Close() })
	client, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	require.NoError(t, client.SetDeadline(time.Now().Add(guard)))
	return s, client
}

type spying struct {
	net.Listener
	s *spy
}

func (l spying) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.s.Conn = c
	return l.s, nil
}

const (
	get  = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
)

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
}

func status(t *testing.T, r *bufio.Reader) int {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	return resp.StatusCode
}

// A request's context names the listener's connection.
func TestAssumedContext(t *testing.T) {
	same := make(chan bool, 1)
	_, client := watched(t, func(s *spy, _ http.ResponseWriter, r *http.Request) {
		same <- r.Context().Value(connKey{}) == net.Conn(s)
	})
	say(t, client, get)
	require.True(t, <-same)
}

// While a handler runs and the request has come whole, the connection is read in
// the background. A read deadline in the past ends that, and the timeout is no
// leaving: the connection serves the next request.
func TestAssumedBackgroundRead(t *testing.T) {
	s, client := watched(t, func(s *spy, _ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.Copy(io.Discard, r.Body)
			s.awaitCount("read", 2)
		}
	})
	r := bufio.NewReader(client)
	say(t, client, post+"abc")
	require.Equal(t, 200, status(t, r))
	s.await("timeout")
	require.Equal(t, 1, s.count("abort"))
	say(t, client, get)
	require.Equal(t, 200, status(t, r))
}

// Until a body was read to its end, only who reads it reads the connection.
func TestAssumedNoBackgroundReadBeforeTheBodysEnd(t *testing.T) {
	begun, counted := make(chan struct{}), make(chan int, 1)
	_, client := watched(t, func(s *spy, _ http.ResponseWriter, r *http.Request) {
		close(begun)
		var body [2]byte
		_, _ = io.ReadFull(r.Body, body[:])
		counted <- s.count("read") // with the third byte another read may begin
	})
	say(t, client, post)
	<-begun
	say(t, client, "ab")
	require.Equal(t, 2, <-counted)
	say(t, client, "c")
}

// An error of the background read ends the request's context.
func TestAssumedLeaving(t *testing.T) {
	ended := make(chan struct{})
	_, client := watched(t, func(_ *spy, _ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(ended)
	})
	say(t, client, get)
	require.NoError(t, client.(*net.TCPConn).SetLinger(0))
	client.Close()
	wait(t, ended, "the context has not ended")
}

// After an answer the connection is told to be idle, and nobody reads it at that
// time: what is read afterwards is the next request.
func TestAssumedIdle(t *testing.T) {
	s, client := watched(t, func(*spy, http.ResponseWriter, *http.Request) {})
	r := bufio.NewReader(client)
	for n := range 3 {
		say(t, client, get)
		require.Equal(t, 200, status(t, r))
		s.await("idle")
		require.Zero(t, s.count("idle while it is read"))
		require.Equal(t, n+1, s.count("write HTTP/1.1 200"))
	}
	say(t, client, get)
	require.Equal(t, 200, status(t, r))
	client.Close()
	s.await("closed")
	require.Equal(t, 4, s.count("idle"))
}

// What net/http answers by itself is one write that begins with a status line,
// and the connection's last.
func TestAssumedRefusals(t *testing.T) {
	for wire, begin := range map[string]string{
		"what is this\r\n\r\n":                                                       "write HTTP/1.1 400",
		"GET / HTTP/1.1\r\n\r\n":                                                     "write HTTP/1.1 400",
		"GET / HTTP/3.0\r\nHost: x\r\n\r\n":                                          "write HTTP/1.1 505",
		"GET / HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\n\r\n":                       "write HTTP/1.1 417",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n":              "write HTTP/1.1 501",
		"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 2<<20) + "\r\n\r\n": "write HTTP/1.1 431",
	} {
		s, client := watched(t, func(*spy, http.ResponseWriter, *http.Request) {})
		go io.WriteString(client, wire) //nolint:errcheck // the connection may be closed before its end
		s.await(begin)
		_, _ = io.Copy(io.Discard, client)
		s.await("closed")
		require.Equal(t, 1, s.count(begin))
	}
}

// Hijack stops the background read, and nothing of a request that was read whole
// is left in its buffer.
func TestAssumedHijack(t *testing.T) {
	left := make(chan int, 1)
	s, client := watched(t, func(s *spy, w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		nc, rw, err := w.(http.Hijacker).Hijack()
		if err != nil || nc != net.Conn(s) {
			left <- -1
			return
		}
		left <- rw.Reader.Buffered()
	})
	say(t, client, post+"abc")
	require.Zero(t, <-left)
	s.await("hijacked")
	say(t, client, "and more")
	var more [8]byte
	_, err := io.ReadFull(s.Conn, more[:])
	require.NoError(t, err)
	require.Equal(t, "and more", string(more[:]), "net/http reads on")
}
