package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

const (
	readBuffer  = 2 << 10  // of one connection: all that a waiting stream holds
	headerLimit = 64 << 10 // bytes of an answer's header
)

var errHeaderTooLong = errors.New("answer's header is over 64 KiB")

// own makes connections on which the caller itself writes the request and reads
// the answer, so that a stream that waits holds one connection and one small
// buffer. Answers are parsed by net/http (RFC 9112).
type own struct {
	client *Client
	tls    *tls.Config // nil: in clear
	tcp    net.Dialer
}

func newOwn(c *Client, secure *tls.Config) *own {
	if secure != nil {
		secure.NextProtos = []string{"http/1.1"}
	}
	return &own{client: c, tls: secure, tcp: net.Dialer{Timeout: c.opt.ConnectTimeout}}
}

func (o *own) dial(ctx context.Context) (connection, error) {
	if o.tls == nil {
		nc, err := o.tcp.DialContext(ctx, "tcp", o.client.addr)
		if err != nil {
			return nil, err
		}
		return newConn(o, nc, nc), nil
	}
	if limit := o.client.opt.ConnectTimeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	nc, err := o.tcp.DialContext(ctx, "tcp", o.client.addr)
	if err != nil {
		return nil, err
	}
	tc := tls.Client(nc, o.tls)
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, fmt.Errorf("tls: %w", err)
	}
	return newConn(o, tc, nc), nil
}

// conn is one connection to the upstream, used by one exchange at a time.
type conn struct {
	net.Conn        // TCP or TLS
	own      *own   // that made it
	peek     peeker // at the TCP connection
	encoded  bool   // TLS: bytes may wait that are no answer
	br       *bufio.Reader

	budget int  // header bytes still allowed; negative: no limit
	came   bool // a byte of the present answer has
	ended  bool // the upstream has ended the connection
	reused bool
}

func newConn(o *own, nc, tcp net.Conn) *conn {
	cn := &conn{Conn: nc, own: o, encoded: nc != tcp}
	if sc, ok := tcp.(syscall.Conn); ok {
		cn.peek.raw, _ = sc.SyscallConn()
	}
	cn.br = bufio.NewReaderSize(cn, readBuffer)
	return cn
}

func (cn *conn) answered() bool { return cn.came }
func (cn *conn) madeBy() dialer { return cn.own }
func (cn *conn) close()         { cn.Conn.Close() }

// Read counts the header's bytes, for http.ReadResponse has no limit.
func (cn *conn) Read(p []byte) (int, error) {
	if cn.budget >= 0 {
		if cn.budget == 0 {
			return 0, errHeaderTooLong
		}
		p = p[:min(len(p), cn.budget)]
	}
	n, err := cn.Conn.Read(p)
	cn.ended = cn.ended || errors.Is(err, io.EOF)
	if n > 0 {
		cn.came = true
		if cn.budget >= 0 {
			cn.budget -= n
		}
	}
	return n, err
}
