package upstream

import (
	"context"
	"time"
)

// kept is an unused connection.
type kept struct {
	connection
	since time.Time
}

// left are connections that the pool has let go of.
type left []connection

func (l left) close() {
	for _, cn := range l {
		cn.close()
	}
}

// CloseIdle closes the unused connections and keeps none from now on.
func (c *Client) CloseIdle() {
	c.mu.Lock()
	c.closed = true
	old := c.leave()
	c.mu.Unlock()
	old.close()
}

// leave takes all unused connections out of the pool.
func (c *Client) leave() left {
	var old left
	for _, k := range c.idle {
		old = append(old, k.connection)
	}
	c.idle = nil
	old = append(old, c.leaveShared(func(cn *stdConn) bool { return cn.unused() || cn.madeBy() != c.dialer })...)
	return old
}

// take returns a kept connection that is still open, the one used last, or a
// part of one that is shared.
func (c *Client) take() connection {
	if cn := c.takeShared(); cn != nil {
		return cn
	}
	for {
		c.mu.Lock()
		n := len(c.idle)
		if n == 0 {
			c.mu.Unlock()
			return nil
		}
		k := c.idle[n-1]
		c.idle[n-1] = kept{}
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		if time.Since(k.since) < c.opt.IdleTimeout && k.alive() {
			return k.connection
		}
		k.close()
	}
}

// connect makes a connection.
func (c *Client) connect(ctx context.Context) (connection, error) {
	c.mu.Lock()
	d := c.dialer
	c.mu.Unlock()
	if _, is := d.(*std); is {
		return c.connectShared(ctx)
	}
	return d.dial(ctx)
}

// keep stores a connection whose answer was read to its end.
func (c *Client) keep(cn connection) {
	c.mu.Lock()
	if c.closed || len(c.idle) >= c.opt.MaxIdle || cn.madeBy() != c.dialer {
		c.mu.Unlock()
		cn.close()
		return
	}
	c.idle = append(c.idle, kept{cn, time.Now()})
	c.expireIn(c.opt.IdleTimeout)
	c.mu.Unlock()
}

// expireIn makes expire run, unless it will anyway.
func (c *Client) expireIn(d time.Duration) {
	if c.sweep == nil {
		c.sweep = time.AfterFunc(d, c.expire)
	} else if len(c.idle)+len(c.shared) == 1 {
		c.sweep.Reset(d)
	}
}

// expire closes connections that were unused for too long.
func (c *Client) expire() {
	c.mu.Lock()
	n := 0
	for n < len(c.idle) && time.Since(c.idle[n].since) >= c.opt.IdleTimeout {
		n++
	}
	var old left
	for _, k := range c.idle[:n] {
		old = append(old, k.connection)
	}
	c.idle = append(c.idle[:0], c.idle[n:]...)
	clear(c.idle[len(c.idle):cap(c.idle)])
	old = append(old, c.leaveShared(func(cn *stdConn) bool { return cn.unused() && time.Since(cn.since) >= c.opt.IdleTimeout })...)
	switch {
	case len(c.shared) > 0:
		c.sweep.Reset(c.opt.IdleTimeout)
	case len(c.idle) > 0:
		c.sweep.Reset(c.opt.IdleTimeout - time.Since(c.idle[0].since))
	}
	c.mu.Unlock()
	old.close()
}
