package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/testkit"
)

// replay is an upstream that answers the first request with the first piece, and
// so on. After the last one, with which it answers all others too, it closes.
type replay struct {
	base   string
	pieces [][]byte
	asked  atomic.Int32
}

func newReplay(t testing.TB) *replay {
	r := new(replay)
	r.base = testkit.Connections(t, r.serve)
	return r
}

func (r *replay) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	for last := false; !last; {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		n := min(int(r.asked.Add(1)), len(r.pieces))
		last = n == len(r.pieces)
		if _, err := conn.Write(r.pieces[n-1]); err != nil {
			return
		}
	}
}

// pieces cuts data after its first answer, if that is whole without the rest:
// else it is one.
func pieces(data []byte, method string) [][]byte {
	left, whole := afterAnswer(data, method)
	if !whole || left == 0 {
		return [][]byte{data}
	}
	first := data[:len(data)-left]
	if left, whole = afterAnswer(first, method); !whole || left > 0 {
		return [][]byte{data}
	}
	return [][]byte{first, data[len(first):]}
}

// afterAnswer counts the bytes after the first answer in data.
func afterAnswer(data []byte, method string) (left int, whole bool) {
	r := bufio.NewReaderSize(bytes.NewReader(data), len(data)+16)
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil || resp.StatusCode < 200 {
		return 0, false
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return r.Buffered(), err == nil
}

// told is what a transport makes of two requests in a row, as text.
func told(t testing.TB, tr Transport, up *replay, method string) string {
	up.asked.Store(0)
	c, err := New(up.base, Options{Transport: tr, ConnectTimeout: guard, IdleTimeout: guard, MaxIdle: 10})
	require.NoError(t, err)
	defer c.CloseIdle()
	var b strings.Builder
	for range 2 {
		req := &Request{Method: method, Target: "/x", Repeatable: true, HeaderTimeout: guard}
		if method == http.MethodPost {
			req.Body = []byte("x")
		}
		a, err := c.Do(context.Background(), req)
		if err != nil {
			var e *Error
			require.ErrorAs(t, err, &e)
			fmt.Fprintf(&b, "error %s\n", e.Kind)
			continue
		}
		a.SetReadDeadline(time.Now().Add(guard))
		body, err := io.ReadAll(a)
		how := "whole"
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			how = "cut"
		case err != nil:
			how = "broken"
		}
		fmt.Fprintf(&b, "%d %q length %d body %q %s\n", a.Status, a.Header, a.Length, body, how)
		a.Close()
	}
	return b.String()
}

// FuzzTransports gives both transports the same bytes of an upstream, and wants
// the same of them.
func FuzzTransports(f *testing.F) {
	methods := []string{http.MethodPost, http.MethodGet, http.MethodHead, http.MethodDelete}
	for _, c := range answers {
		if len(c.answer) < 1<<10 {
			f.Add([]byte(c.answer), uint8(0))
			f.Add([]byte(c.answer), uint8(2))
			f.Add([]byte(c.answer+c.answer), uint8(1))
		}
	}
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ndata: \r\n4\r\nx\n\n\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhi",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n A: b\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 99 x\r\n\r\n",
		"\r\n\r\n",
	} {
		f.Add([]byte(s), uint8(0))
	}
	up := newReplay(f)
	f.Fuzz(func(t *testing.T, data []byte, method uint8) {
		if len(data) > 16<<10 {
			return // more does not come in one piece
		}
		m := methods[int(method)%len(methods)]
		up.pieces = pieces(data, m)
		require.Equal(t, told(t, Own, up, m), told(t, Std, up, m))
	})
}
