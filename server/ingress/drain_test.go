package ingress

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A request that has come when the door drains is answered, although nobody has read
// it yet: its client could not know whether it may send it again.
func TestDrainAnswersWhatHasCome(t *testing.T) {
	const clients = 100
	for name, test := range map[string]struct {
		first  string
		secure bool
	}{
		"on new connections":              {"", false},
		"after whole answers":             {"/whole", false},
		"after streamed answers":          {"/streamed", false},
		"after whole answers over TLS":    {"/whole", true},
		"after streamed answers over TLS": {"/streamed", true},
	} {
		t.Run(name, func(t *testing.T) {
			var certificate *Certificate
			if test.secure {
				certificate = selfSigned(t)
			}
			var d *Door
			d = New(Options{ReadHeaderTimeout: guard, IdleTimeout: guard, MaxHeaderBytes: 4 << 10, Log: slog.New(slog.DiscardHandler), Certificate: certificate,
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_ = Begin(r)
					if r.URL.Path != "/streamed" {
						_, _ = io.WriteString(w, "answer")
						return
					}
					taken := d.Take(w, r, func() {})
					_, err := io.WriteString(taken.conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer")
					taken.Finish(err == nil)
					taken.Done()
				})})
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			served := make(chan error, 1)
			go func() { served <- d.Serve(ln) }()

			conns := make([]net.Conn, clients)
			answers := make([]*bufio.Reader, clients)
			send := func(i int, path string) {
				_, err := io.WriteString(conns[i], "GET "+path+" HTTP/1.1\r\nHost: h\r\n\r\n")
				require.NoError(t, err)
			}
			answered := func(i int) error {
				resp, err := http.ReadResponse(answers[i], nil)
				if err != nil {
					return err
				}
				body, err := io.ReadAll(resp.Body)
				require.Equal(t, "answer", string(body))
				return err
			}
			for i := range conns {
				conns[i], err = net.Dial("tcp", ln.Addr().String())
				require.NoError(t, err)
				defer conns[i].Close()
				require.NoError(t, conns[i].SetDeadline(time.Now().Add(guard)))
				if test.secure {
					conns[i] = tls.Client(conns[i], &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // there is nobody else
				}
				answers[i] = bufio.NewReader(conns[i])
				if test.first != "" {
					send(i, test.first)
					require.NoError(t, answered(i))
				}
			}
			for i := range conns {
				send(i, "/"+strconv.Itoa(i))
			}
			ctx, cancel := context.WithTimeout(context.Background(), guard)
			defer cancel()
			require.NoError(t, d.Drain(ctx))
			for i := range conns {
				require.NoError(t, answered(i), "request %d of %d", i, clients)
			}
			require.ErrorIs(t, <-served, http.ErrServerClosed)
		})
	}
}

// A connection on which nothing has come is closed at once.
func TestDrainClosesWhatIsIdle(t *testing.T) {
	d := New(Options{ReadHeaderTimeout: guard, IdleTimeout: guard, MaxHeaderBytes: 4 << 10, Log: slog.New(slog.DiscardHandler),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = Begin(r) })})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = d.Serve(ln) }()
	c, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(guard)))
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	require.NoError(t, err)
	answer := bufio.NewReader(c)
	resp, err := http.ReadResponse(answer, nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	defer cancel()
	require.NoError(t, d.Drain(ctx))
	_, err = answer.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}
