// Package upstream is an HTTP/1.1 client for one upstream that works on its
// caller's goroutine.
//
// net/http's Transport keeps two goroutines and two buffers for each
// connection, which is most of what a held stream costs a proxy. Here the
// caller itself writes the request and reads the answer, so that a stream that
// waits holds one connection and one small buffer. Answers are parsed by
// net/http (RFC 9112); connections are kept and reused.
package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Options tune a Client. Zero values mean: no time limit, no kept connections.
type Options struct {
	ConnectTimeout time.Duration // DNS, TCP and TLS together
	IdleTimeout    time.Duration // how long an unused connection is kept
	MaxIdle        int           // unused connections kept at once
	TLS            *tls.Config   // for https; nil uses the system's roots
}

// Client sends requests to one upstream. It is safe for concurrent use.
type Client struct {
	opt    Options
	addr   string // host:port to dial
	host   string // Host field
	base   string // path in front of every target, without a trailing slash
	tls    *tls.Config
	dialer net.Dialer

	mu     sync.Mutex
	idle   []*conn // oldest first
	sweep  *time.Timer
	closed bool
}

// New makes a client for the upstream at base: scheme http or https, host,
// optional port and path. No connection is made yet.
func New(base string, opt Options) (*Client, error) {
	u, err := url.Parse(strings.TrimRight(base, "/"))
	if err != nil {
		return nil, errors.New("not a URL")
	}
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("must be http://host[:port] or https://host[:port]")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("must have no user, query or fragment")
	}
	c := &Client{
		opt:    opt,
		host:   u.Host,
		base:   u.EscapedPath(),
		dialer: net.Dialer{Timeout: opt.ConnectTimeout},
	}
	port := u.Port()
	if u.Scheme == "https" {
		c.tls = opt.TLS.Clone()
		if c.tls == nil {
			c.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		if c.tls.ServerName == "" {
			c.tls.ServerName = u.Hostname()
		}
		c.tls.NextProtos = []string{"http/1.1"}
		if port == "" {
			port = "443"
		}
	} else if port == "" {
		port = "80"
	}
	c.addr = net.JoinHostPort(u.Hostname(), port)
	return c, nil
}

// Do sends a request and returns once the answer's header is there. The caller
// must Close the answer. Ending ctx closes the connection, until the answer is
// closed. Every error is an *Error.
func (c *Client) Do(ctx context.Context, req *Request) (*Answer, error) {
	if cn := c.take(); cn != nil {
		ans, err := c.exchange(ctx, cn, req)
		// The upstream may close a kept connection at the very moment it is
		// used again: no byte of an answer came, so nothing was decided there.
		if err == nil || !req.Repeatable || req.Stream != nil || cn.answered || ctx.Err() != nil {
			return ans, err
		}
		if e := (*Error)(nil); errors.As(err, &e) && e.Kind != Closed {
			return ans, err
		}
	}
	cn, err := c.dial(ctx)
	if err != nil {
		return nil, &Error{Kind: Connect, Err: err}
	}
	return c.exchange(ctx, cn, req)
}

// CloseIdle closes the unused connections and keeps none from now on.
func (c *Client) CloseIdle() {
	c.mu.Lock()
	idle := c.idle
	c.idle, c.closed = nil, true
	c.mu.Unlock()
	for _, cn := range idle {
		cn.Conn.Close()
	}
}

func (c *Client) dial(ctx context.Context) (*conn, error) {
	if c.tls == nil {
		nc, err := c.dialer.DialContext(ctx, "tcp", c.addr)
		if err != nil {
			return nil, err
		}
		return newConn(nc, nc), nil
	}
	if c.opt.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.opt.ConnectTimeout)
		defer cancel()
	}
	nc, err := c.dialer.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return nil, err
	}
	tc := tls.Client(nc, c.tls)
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, fmt.Errorf("tls: %w", err)
	}
	return newConn(tc, nc), nil
}

// take returns a kept connection that is still open, the one used last.
func (c *Client) take() *conn {
	for {
		c.mu.Lock()
		n := len(c.idle)
		if n == 0 {
			c.mu.Unlock()
			return nil
		}
		cn := c.idle[n-1]
		c.idle[n-1] = nil
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		if time.Since(cn.idleSince) < c.opt.IdleTimeout && cn.alive() {
			cn.reset()
			return cn
		}
		cn.Conn.Close()
	}
}

// keep stores a connection whose answer was read to its end.
func (c *Client) keep(cn *conn) {
	cn.idleSince = time.Now()
	c.mu.Lock()
	if c.closed || len(c.idle) >= c.opt.MaxIdle {
		c.mu.Unlock()
		cn.Conn.Close()
		return
	}
	c.idle = append(c.idle, cn)
	if c.sweep == nil {
		c.sweep = time.AfterFunc(c.opt.IdleTimeout, c.expire)
	} else if len(c.idle) == 1 {
		c.sweep.Reset(c.opt.IdleTimeout)
	}
	c.mu.Unlock()
}

// expire closes connections that were unused for too long.
func (c *Client) expire() {
	c.mu.Lock()
	n := 0
	for n < len(c.idle) && time.Since(c.idle[n].idleSince) >= c.opt.IdleTimeout {
		n++
	}
	old := append([]*conn(nil), c.idle[:n]...)
	c.idle = append(c.idle[:0], c.idle[n:]...)
	clear(c.idle[len(c.idle):cap(c.idle)])
	if len(c.idle) > 0 {
		c.sweep.Reset(c.opt.IdleTimeout - time.Since(c.idle[0].idleSince))
	}
	c.mu.Unlock()
	for _, cn := range old {
		cn.Conn.Close()
	}
}

// methods holds what http.ReadResponse must know of a request.
var methods = map[string]*http.Request{
	http.MethodGet:    {Method: http.MethodGet},
	http.MethodHead:   {Method: http.MethodHead},
	http.MethodPost:   {Method: http.MethodPost},
	http.MethodDelete: {Method: http.MethodDelete},
}
