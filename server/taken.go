package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"antwort/server/dispatch"
)

// A held stream costs net/http 26 KiB: two buffers, the request and a deep
// stack. So a streamed answer takes its connection over (http.Hijacker) and
// keeps only a small goroutine that watches for the client's leaving. When the
// answer is written, the connection waits there for the client's next request,
// and with its first byte goes back to net/http through a listener.

// takenConns are the connections that net/http does not know of.
type takenConns struct {
	returned *returnedConns
	idle     time.Duration
	closed   atomic.Bool

	mu  sync.Mutex
	all map[*takenConn]struct{}
}

// open makes connections be taken; they come back through returned.
func (t *takenConns) open(returned *returnedConns, idle time.Duration) {
	t.returned, t.idle, t.all = returned, idle, make(map[*takenConn]struct{})
}

// close ends the connections that wait for a request, and those of running
// answers when these end.
func (t *takenConns) close() {
	t.closed.Store(true)
	for _, c := range t.list() {
		c.mu.Lock()
		if c.over {
			c.Conn.Close()
		}
		c.mu.Unlock()
	}
	_ = t.returned.Close()
}

// abort closes every connection.
func (t *takenConns) abort() {
	for _, c := range t.list() {
		c.Conn.Close()
	}
}

func (t *takenConns) list() []*takenConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*takenConn, 0, len(t.all))
	for c := range t.all {
		all = append(all, c)
	}
	return all
}

// takenConn is one of them. Its answer's goroutine writes, watch reads.
type takenConn struct {
	net.Conn
	set  *takenConns
	gone context.CancelCauseFunc // told when the client leaves before the answer's end

	mu     sync.Mutex
	early  []byte        // of the client's next request
	left   bool          // the client has
	over   bool          // the answer has ended
	keep   bool          // the connection outlives the answer
	resume chan struct{} // closed at the answer's end, when early bytes wait for it
}

// take takes the connection of x over. It returns nil when that cannot be: the
// answer then goes through net/http. gone is called when the client leaves.
func (x *exchange) take(gone context.CancelCauseFunc) *takenConn {
	set := &x.gen.taken
	hj, ok := x.w.(http.Hijacker)
	if set.returned == nil || !x.gen.cfg.Server.TakeOver || !ok || x.upload != nil || x.r.ProtoMajor != 1 || x.r.ProtoMinor != 1 || x.r.Close {
		return nil
	}
	// Bytes of an unread body would be taken for the next request.
	var one [1]byte
	if n, err := x.r.Body.Read(one[:]); n != 0 || err != io.EOF {
		return nil
	}
	x.gen.detached.Add(1) // before net/http's Shutdown stops counting it
	nc, rw, err := hj.Hijack()
	if err != nil {
		x.gen.detached.Done()
		return nil
	}
	_ = nc.SetDeadline(time.Time{})
	if cc, ok := nc.(*clientConn); ok {
		nc = cc.Conn
	}
	c := &takenConn{Conn: nc, set: set, gone: gone}
	if r, ok := nc.(*resumedConn); ok && len(r.first) == 0 {
		c.Conn = r.Conn
	}
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ := rw.Reader.Peek(n)
		c.early = append([]byte(nil), early...)
	}
	set.mu.Lock()
	set.all[c] = struct{}{}
	set.mu.Unlock()
	x.unlink() // net/http ends the request's context when the handler returns
	x.detached, x.w, x.r = true, nil, nil
	go c.watch()
	return c
}

// watch notices the client's leaving, and its next request.
func (c *takenConn) watch() {
	defer c.forget()
	var one [1]byte
	n := 0
	if c.early == nil {
		n, _ = c.Conn.Read(one[:])
	}
	c.mu.Lock()
	if n == 0 && c.early == nil {
		over := c.over
		c.left = true
		c.mu.Unlock()
		if over {
			c.Conn.Close()
		} else {
			c.gone(dispatch.ErrClientGone) // finish closes the connection
		}
		return
	}
	c.early = append(c.early, one[:n]...)
	if !c.over {
		c.resume = make(chan struct{})
		c.mu.Unlock()
		<-c.resume
		c.mu.Lock()
	}
	keep := c.keep
	c.mu.Unlock()
	if !keep {
		c.Conn.Close()
		return
	}
	_ = c.SetDeadline(time.Time{})
	c.set.returned.give(&resumedConn{Conn: c.Conn, first: c.early})
}

func (c *takenConn) forget() {
	c.set.mu.Lock()
	delete(c.set.all, c)
	c.set.mu.Unlock()
}

// finish ends the answer: whole says that all of it was written, so that the
// connection can serve another request.
func (c *takenConn) finish(whole bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.keep = whole && !c.left && !c.set.closed.Load()
	switch {
	case c.resume != nil:
		close(c.resume)
	case !c.keep:
		c.Conn.Close()
	default:
		_ = c.Conn.SetReadDeadline(time.Now().Add(c.set.idle))
	}
}

// resumedConn is a connection whose first bytes were read already.
type resumedConn struct {
	net.Conn
	first []byte
}

func (c *resumedConn) Read(p []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

func (c *resumedConn) CloseWrite() error { return closeWrite(c.Conn) }

// returnedConns is the listener that gives connections back to net/http.
type returnedConns struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newReturnedConns() *returnedConns {
	return &returnedConns{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *returnedConns) give(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.done:
		c.Close()
	}
}

func (l *returnedConns) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *returnedConns) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *returnedConns) Addr() net.Addr { return &net.TCPAddr{} }
