package server

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"antwort/shared/responses"
)

// net/http answers what is no request to it by itself, in plain text: no valid
// HTTP, a header over the limit, an unknown Transfer-Encoding or Expect. Such an
// answer is one write outside of any handler, and the connection's last, so the
// connection can give it the body that all errors have.

// clientConn is a client's connection as net/http has it.
type clientConn struct {
	net.Conn
	handling atomic.Bool // from a handler's start to its answer's end
	head     rawHead
}

func (c *clientConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.head.add(p[:n])
	return n, err
}

func (c *clientConn) SetReadDeadline(t time.Time) error {
	c.head.limited()
	return c.Conn.SetReadDeadline(t)
}

func (c *clientConn) Write(p []byte) (int, error) {
	if c.handling.Load() {
		return c.Conn.Write(p)
	}
	e := refusal(p)
	if e == nil {
		return c.Conn.Write(p)
	}
	if _, err := c.Conn.Write(lastAnswer(e)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// lastAnswer is an answer outside of any handler, after which the connection
// ends.
func lastAnswer(e *responses.Error) []byte {
	body := e.AppendBody(nil)
	b := append([]byte("HTTP/1.1 "), strconv.Itoa(e.Status)...)
	b = append(b, ' ')
	b = append(b, http.StatusText(e.Status)...)
	b = append(b, "\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	return append(b, body...)
}

// CloseWrite lets net/http end a connection so that its last answer is read.
func (c *clientConn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// refusal reads net/http's own answer. It returns nil when p is none.
func refusal(p []byte) *responses.Error {
	rest, ok := bytes.CutPrefix(p, []byte("HTTP/1.1 "))
	if !ok || len(rest) < 3 || rest[0] != '4' && rest[0] != '5' {
		return nil
	}
	status, err := strconv.Atoi(string(rest[:3]))
	if err != nil {
		return nil
	}
	line, _, _ := bytes.Cut(rest[3:], []byte("\r\n"))
	switch status {
	case http.StatusRequestHeaderFieldsTooLarge:
		return responses.NewError(status, "header_too_large", "the request's header is over this server's limit")
	case http.StatusExpectationFailed:
		return responses.NewError(status, "unsupported_expectation", "expect can only be 100-continue")
	case http.StatusNotImplemented:
		return responses.NewError(status, "unsupported_transfer_encoding", "transfer-encoding can only be chunked")
	}
	message := "the request is not valid HTTP"
	if _, why, ok := bytes.Cut(line, []byte(": ")); ok { // one of net/http's constants
		message += ": " + string(why)
	}
	return responses.NewError(status, "invalid_http", message)
}

// clientConns makes a listener's connections clientConns.
type clientConns struct{ net.Listener }

func (l clientConns) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &clientConn{Conn: c}, nil
}

type clientConnKey struct{}

// shapeRefusals sets hs up for clientConns.
func shapeRefusals(hs *http.Server) {
	hs.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, clientConnKey{}, c)
	}
	hs.ConnState = func(c net.Conn, state http.ConnState) {
		if cc, ok := c.(*clientConn); ok && state == http.StateIdle {
			cc.handling.Store(false)
			cc.head.next()
		}
	}
}

// handling says that what is written from now on is a handler's.
func handling(r *http.Request) {
	if c, ok := r.Context().Value(clientConnKey{}).(*clientConn); ok {
		c.handling.Store(true)
	}
}
