package upstream

import (
	"context"
	"errors"
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

func TestFailures(t *testing.T) {
	both(t, func(t *testing.T, tr Transport) {
		t.Run("nobody listens", func(t *testing.T) {
			_, err := newClient(t, tr, "http://"+testkit.Refused(t).String()).Do(t.Context(), post("x"))
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, Connect, e.Kind)
		})
		silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}))
		defer silent.Close()
		t.Run("no header in time", func(t *testing.T) {
			req := post("x")
			req.HeaderTimeout = 20 * time.Millisecond
			_, err := newClient(t, tr, silent.URL).Do(t.Context(), req)
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, Timeout, e.Kind)
		})
		t.Run("cancelled", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(20*time.Millisecond, cancel)
			_, err := newClient(t, tr, silent.URL).Do(ctx, post("x"))
			require.Error(t, err)
			require.Error(t, ctx.Err())
		})
		t.Run("the body cannot be read", func(t *testing.T) {
			for _, length := range []int64{-1, 100} {
				boom := errors.New("boom")
				req := &Request{Method: "POST", Target: "/x", Stream: io.MultiReader(strings.NewReader("x"), failing{boom}), Length: length}
				_, err := newClient(t, tr, silent.URL).Do(t.Context(), req)
				var e *Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, Body, e.Kind)
				require.ErrorIs(t, err, boom)
			}
		})
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// An upstream may answer before it has read the body, and never read it.
func TestEarlyAnswers(t *testing.T) {
	both(t, func(t *testing.T, tr Transport) {
		for _, closes := range []bool{true, false} {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer ln.Close()
			go func() {
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Read(make([]byte, 1024))
					_, _ = io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
					if closes {
						_ = conn.(*net.TCPConn).CloseWrite()
					}
					defer conn.Close()
				}
			}()
			c := newClient(t, tr, "http://"+ln.Addr().String())
			status, body := do(t, c, post(strings.Repeat("x", 64<<20)))
			require.Equal(t, 413, status)
			require.Equal(t, "no", body)
			require.Nil(t, c.take(), "the connection holds half a request")

			unblocked := make(chan struct{})
			waiting, feed := io.Pipe()
			defer feed.Close()
			req := &Request{Method: "POST", Target: "/x", Body: []byte("x"), Stream: waiting, Length: -1, Unblock: func() {
				close(unblocked)
				waiting.CloseWithError(io.ErrClosedPipe)
			}}
			status, _ = do(t, c, req)
			require.Equal(t, 413, status)
			<-unblocked
		}
	})
}
