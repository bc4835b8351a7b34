package upstream

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Connections of HTTP/2 carry many exchanges at once. Requests that come while
// one is being made wait for it instead of making one each.

// dialing is a connection that is being made.
type dialing struct {
	done chan struct{} // closed when it is there, or err is
	err  error
}

// sharedRounds bounds how often a request waits for a connection in which then
// is no place for it.
const sharedRounds = 16

var errNoPlace = errors.New("the upstream takes no request on its connections")

// takeShared reserves a place in a connection that others use too.
func (c *Client) takeShared() connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cn := range c.shared {
		if cn.madeBy() == c.dialer && cn.client.Reserve() == nil {
			cn.since = time.Now()
			return cn
		}
	}
	return nil
}

// connectShared makes a connection, or takes a part of one that somebody else
// makes at this time.
func (c *Client) connectShared(ctx context.Context) (connection, error) {
	for range sharedRounds {
		c.mu.Lock()
		s, d := c.dialer.(*std), c.dialing
		if !s.mayShare() {
			c.mu.Unlock()
			return s.dial(ctx)
		}
		if d == nil {
			d = &dialing{done: make(chan struct{})}
			c.dialing = d
			// It is for all who wait: the first one's leaving does not end it.
			go c.share(context.WithoutCancel(ctx), s, d)
		}
		c.mu.Unlock()
		select {
		case <-d.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if d.err != nil {
			return nil, d.err
		}
		if cn := c.take(); cn != nil {
			return cn, nil
		}
	}
	return nil, errNoPlace
}

// share makes a connection for all.
func (c *Client) share(ctx context.Context, s *std, d *dialing) {
	cn, err := s.dial(ctx)
	if err == nil && cn.(*stdConn).shared {
		c.mu.Lock()
		cn.(*stdConn).since = time.Now()
		c.shared = append(c.shared, cn.(*stdConn))
		c.expireIn(c.opt.IdleTimeout)
		c.mu.Unlock()
	} else if err == nil {
		c.keep(cn)
	}
	c.mu.Lock()
	c.dialing = nil
	c.mu.Unlock()
	d.err = err
	close(d.done)
}

// unshare ends an exchange's part in a connection.
func (c *Client) unshare(cn *stdConn) {
	c.mu.Lock()
	cn.since = time.Now()
	var old left
	if c.closed || cn.madeBy() != c.dialer {
		old = c.leaveShared(func(other *stdConn) bool { return other == cn })
		if old == nil && cn.unused() { // it was not in the pool any more
			old = left{cn}
		}
	}
	c.mu.Unlock()
	old.close()
}

// leaveShared takes connections out of the pool, also those that are broken.
// It returns those that are not in use.
func (c *Client) leaveShared(which func(*stdConn) bool) (old left) {
	c.shared = slices.DeleteFunc(c.shared, func(cn *stdConn) bool {
		if cn.client.Err() == nil && !which(cn) {
			return false
		}
		if cn.unused() {
			old = append(old, cn)
		}
		return true
	})
	return old
}
