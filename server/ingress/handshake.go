package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"antwort/shared/responses"
)

// refusalTime is how long a client has to take the refusal of its handshake.
const refusalTime = 2 * time.Second

// tlsConns is a listener of connections that have shaken hands. Those of HTTP/1.1
// come as Conn, as without TLS: streams take them over, and what net/http
// refuses by itself gets its body. Those of HTTP/2 come as net/http knows them.
type tlsConns struct {
	*queue
	door    *Door
	config  *tls.Config
	timeout time.Duration // of a handshake
	log     *slog.Logger

	shaken  chan net.Conn
	stopped chan struct{}
	stop    sync.Once
	failed  chan error // of the listener
}

func newTLSConns(ln *queue, d *Door) *tlsConns {
	l := &tlsConns{queue: ln, door: d, config: d.http.TLSConfig, timeout: d.opt.ReadHeaderTimeout, log: d.opt.Log,
		shaken: make(chan net.Conn), stopped: make(chan struct{}), failed: make(chan error, 1)}
	go l.accept()
	return l
}

func (l *tlsConns) accept() {
	for {
		c, err := l.queue.Accept()
		if err == nil {
			l.shaking.Add(1)
			go l.shake(c)
			continue
		}
		var e interface{ Temporary() bool } // too many open files: net/http waits then
		select {
		case l.failed <- err:
		case <-l.stopped:
			return
		}
		if !errors.As(err, &e) || !e.Temporary() {
			return
		}
	}
}

// shake does a connection's handshake and hands it on.
func (l *tlsConns) shake(raw net.Conn) {
	defer l.shaking.Done()
	c := tls.Server(raw, l.config)
	ctx, cancel := context.WithTimeout(context.Background(), l.timeout)
	err := c.HandshakeContext(ctx)
	cancel()
	if err != nil {
		l.refuse(raw, err)
		return
	}
	shaken := net.Conn(c)
	if c.ConnectionState().NegotiatedProtocol != "h2" {
		shaken = &Conn{Conn: c, door: l.door}
	}
	select {
	case l.shaken <- shaken:
	case <-l.stopped:
		_ = c.Close()
	}
}

// refuse closes a connection without a handshake. A client that speaks HTTP in
// clear is told so.
func (l *tlsConns) refuse(raw net.Conn, err error) {
	l.log.Debug("TLS handshake failed", "client", raw.RemoteAddr().String(), "problem", err.Error())
	var header tls.RecordHeaderError
	if errors.As(err, &header) && header.Conn != nil && looksLikeHTTP(header.RecordHeader[:]) {
		_ = raw.SetDeadline(time.Now().Add(refusalTime))
		e := responses.NewError(http.StatusBadRequest, "https_needed", "this port speaks HTTPS: the request came in clear")
		_, _ = raw.Write(lastAnswer(e))
	}
	_ = raw.Close()
}

func looksLikeHTTP(begin []byte) bool {
	switch string(begin) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH", "PRI *":
		return true
	}
	return false
}

func (l *tlsConns) Accept() (net.Conn, error) {
	select {
	case c := <-l.shaken:
		return c, nil
	case err := <-l.failed:
		return nil, err
	case <-l.stopped:
		return nil, net.ErrClosed
	}
}

func (l *tlsConns) Close() error {
	l.stop.Do(func() { close(l.stopped) })
	return l.queue.Close()
}
