// Package upstream is an HTTP client for one upstream.
//
//	Client.Do ─► pool ─► connection ─┬─ own: HTTP/1.1, on the caller's goroutine
//	                                 └─ std: net/http's, HTTP/1.1 and HTTP/2
//
// The Client keeps connections and decides when a request is sent again; a
// connection carries one exchange after the other. There are two kinds of
// connections, and both give the same answers and errors for the same bytes.
// Our own costs a held stream one connection and one small buffer, where
// net/http keeps two goroutines and two buffers. net/http's speaks HTTP/2 and
// goes through proxies; it is taken for these, or by choice. What of it differs
// is listed at [Transport].
package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Transport is the implementation of HTTP that carries the requests.
//
// With net/http's, header fields are sent sorted by name, [Rest.Wait] returns
// at once, and a read deadline that has passed ends the answer. In TLS, the end
// of a connection inside a status line is Malformed, where it is Closed in ours,
// and what is no HTTP is Closed when it comes while the body is on its way.
type Transport int

// The transports.
const (
	Auto Transport = iota // ours, but net/http's for HTTP/2 and proxies
	Own                   // ours
	Std                   // net/http's
)

// Options tune a Client. Zero values mean: no time limit, no kept connections.
type Options struct {
	Transport      Transport
	ConnectTimeout time.Duration // DNS, TCP, the proxy and TLS together
	IdleTimeout    time.Duration // how long an unused connection is kept
	MaxIdle        int           // unused connections kept at once
	Files          Files         // for https; without them, the system's authorities
	HTTP2          bool          // where the upstream offers it in TLS; in clear from the first byte
	Proxy          *url.URL      // nil: none; see ProxyFor
}

// Client sends requests to one upstream. It is safe for concurrent use.
type Client struct {
	opt    Options
	secure bool   // https
	addr   string // host:port to dial
	name   string // of the host, without port
	host   string // Host field
	base   string // path in front of every target, without a trailing slash

	material atomic.Pointer[Material] // what Options.Files held

	mu      sync.Mutex
	dialer  dialer
	idle    []kept // oldest first
	shared  []*stdConn
	dialing *dialing
	sweep   *time.Timer
	closed  bool
}

// dialer makes connections of one kind, with one set of certificates.
type dialer interface {
	dial(ctx context.Context) (connection, error)
}

// connection is one to the upstream. One exchange at a time uses it, but for
// those of HTTP/2.
type connection interface {
	// exchange sends a request and reads the header of its answer. Every error
	// is an *Error.
	exchange(ctx context.Context, req *Request) (*Answer, error)
	// answered reports whether a byte of an answer came in the last exchange.
	answered() bool
	// alive looks, without waiting for the upstream, whether a kept connection
	// can be used: neither closed nor holding bytes that nobody asked for.
	alive() bool
	// madeBy is the dialer that made it.
	madeBy() dialer
	close()
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
	c := &Client{opt: opt, secure: u.Scheme == "https", name: u.Hostname(), host: u.Host, base: u.EscapedPath()}
	if opt.Transport == Own && (opt.HTTP2 || opt.Proxy != nil) {
		return nil, errors.New("transport own neither speaks HTTP/2 nor goes through the proxy of HTTP_PROXY or HTTPS_PROXY: leave it out, or name the host in NO_PROXY")
	}
	if opt.HTTP2 && opt.Proxy != nil && !c.secure {
		return nil, errors.New("HTTP/2 in clear cannot go through the proxy of HTTP_PROXY: take https://, or name the host in NO_PROXY")
	}
	port := u.Port()
	if port == "" {
		port = map[bool]string{false: "80", true: "443"}[c.secure]
	}
	c.addr = net.JoinHostPort(c.name, port)
	m, err := opt.Files.Read()
	if err != nil {
		return nil, err
	}
	certificates, err := m.Config(opt.Files.ServerName)
	if err != nil {
		return nil, err
	}
	c.material.Store(&m)
	c.dialer = c.newDialer(certificates)
	return c, nil
}

func (c *Client) newDialer(secure *tls.Config) dialer {
	if !c.secure {
		secure = nil
	} else if secure.ServerName == "" {
		secure.ServerName = c.name
	}
	if c.opt.Transport == Std || c.opt.HTTP2 || c.opt.Proxy != nil {
		return newStd(c, secure)
	}
	return newOwn(c, secure)
}

// setTLS changes what the client trusts and shows, from the next connection on:
// those of before serve what is under way, and no more.
func (c *Client) setTLS(certificates *tls.Config) {
	d := c.newDialer(certificates)
	c.mu.Lock()
	c.dialer = d
	old := c.leave()
	c.mu.Unlock()
	old.close()
}

// ProxyFor is the proxy that the environment names for an upstream, nil when
// there is none: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in capitals or not, as
// [http.ProxyFromEnvironment] reads them.
func ProxyFor(base string) (*url.URL, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	if err != nil || proxy != nil && proxy.Hostname() == "" {
		return nil, errors.New("HTTP_PROXY and HTTPS_PROXY must be URLs such as http://proxy.example:3128")
	}
	return proxy, nil
}

// mostTries bounds how often a request is sent that the upstream says it has
// done nothing about.
const mostTries = 5

// Do sends a request and returns once the answer's header is there. The caller
// must Close the answer. Ending ctx ends the exchange, until the answer is
// closed. Every error is an *Error.
func (c *Client) Do(ctx context.Context, req *Request) (*Answer, error) {
	fresh := false // only a new connection will do
	for try := 1; ; try++ {
		var cn connection
		if !fresh {
			cn = c.take()
		}
		used := cn != nil
		if !used {
			var err error
			if cn, err = c.connect(ctx); err != nil {
				return nil, &Error{Kind: Connect, Err: err}
			}
		}
		ans, err := cn.exchange(ctx, req)
		if err == nil || req.Stream != nil || ctx.Err() != nil {
			return ans, err
		}
		e := (*Error)(nil)
		errors.As(err, &e)
		// The upstream may close a kept connection at the very moment it is
		// used again: no byte of an answer came, so nothing was decided there.
		fresh = used && e.Kind == Closed && req.Repeatable && !cn.answered()
		if !fresh && (!e.unprocessed() || try == mostTries) {
			return nil, err
		}
	}
}
