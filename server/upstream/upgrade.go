package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// Switched is the answer to a request for another protocol, whose fields Connection and
// Upgrade are in the request's header.
type Switched struct {
	// Conn speaks the other protocol from now on, and is the caller's to close; nil when
	// the upstream has refused: then Body is why.
	net.Conn
	Status int
	Header http.Header
	Body   []byte
}

// refusalBytes is the longest refusal that is read.
const refusalBytes = 64 << 10

// Upgrade sends a request for another protocol, without a body, on a connection of its
// own. Ending ctx ends it until the answer is there. Every error is an *Error.
func (c *Client) Upgrade(ctx context.Context, req *Request) (*Switched, error) {
	if c.opt.Proxy != nil {
		return nil, &Error{Kind: Connect, Err: errors.New("an upgrade does not go through a proxy")}
	}
	o, err := c.single()
	if err != nil {
		return nil, &Error{Kind: Connect, Err: err}
	}
	made, err := o.dial(ctx)
	if err != nil {
		return nil, &Error{Kind: Connect, Err: err}
	}
	cn := made.(*conn)
	defer context.AfterFunc(ctx, cn.abort)()
	s, err := cn.upgrade(req)
	if err != nil || s.Conn == nil {
		cn.close()
	}
	return s, err
}

// single makes connections that carry one exchange at a time, whatever others do.
func (c *Client) single() (*own, error) {
	if !c.secure {
		return newOwn(c, nil), nil
	}
	secure, err := c.material.Load().Config(c.opt.Files.ServerName)
	if err != nil {
		return nil, err
	}
	if secure.ServerName == "" {
		secure.ServerName = c.name
	}
	return newOwn(c, secure), nil
}

func (cn *conn) upgrade(req *Request) (*Switched, error) {
	if req.HeaderTimeout > 0 {
		_ = cn.SetDeadline(time.Now().Add(req.HeaderTimeout))
	}
	a := &ownAnswer{cn: cn}
	if err := a.send(req); err != nil {
		return nil, classify(err, Closed)
	}
	cn.budget = headerLimit
	resp, err := http.ReadResponse(cn.br, methods[req.Method])
	for err == nil && resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
		resp, err = http.ReadResponse(cn.br, methods[req.Method])
	}
	if err != nil {
		return nil, a.headerError(err)
	}
	cn.budget = -1
	s := &Switched{Status: resp.StatusCode, Header: resp.Header}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		_ = cn.SetDeadline(time.Time{})
		early, _ := cn.br.Peek(cn.br.Buffered())
		s.Conn = &switchedConn{Conn: cn.Conn, early: bytes.Clone(early)}
		return s, nil
	}
	defer resp.Body.Close()
	if s.Body, err = io.ReadAll(io.LimitReader(resp.Body, refusalBytes)); err != nil {
		return nil, classify(err, Closed)
	}
	return s, nil
}

// switchedConn gives first what came with the header.
type switchedConn struct {
	net.Conn
	early []byte
}

// Read reads what the upstream says.
func (c *switchedConn) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}
