package ingress

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A door that drains closes the connections that have no request. A client sees then
// that its next one must go elsewhere; but one that it has sent already, and that nobody
// has read yet, would be lost without an answer, and its client could not know whether it
// may say it again. So what has come by then is answered: on a connection that waits, on
// one that a streamed answer had, and on those that nobody has accepted yet.
//
// net/http's Shutdown drops such requests, also those that it has read. So it is called
// when there are none any more, but for those behind an answer that has not quite ended, of
// which the client has all. SetKeepAlivesEnabled(false), which comes before, closes
// the connections that wait, or that get there, and no others.

// What the other side of a connection has sent of its next request, as others than the
// connection's own goroutine see it.
const (
	waits   int32 = iota // nothing, and nobody reads
	listens              // nothing that is known: somebody reads
	comes                // something that was read
	known                // net/http does the rest
)

// lateConns are the connections that net/http has let go as it drained, although a
// request had come on them.
type lateConns struct {
	parting atomic.Bool

	mu  sync.Mutex
	all map[*Conn]struct{}
}

// keeps reports whether a connection that is to be closed has a request that nobody has
// begun to answer. Who closes it is either SetKeepAlivesEnabled, and the connection's own
// goroutine goes on to answer, or that goroutine, which has just seen that it shall wait no
// more, and goOn finds another.
func (l *lateConns) keeps(c *Conn) bool {
	if !l.parting.Load() || c.handling.Load() {
		return false
	}
	switch c.stage.Load() {
	case waits:
		if !c.hasMore() && c.stage.Load() == waits {
			return false
		}
		c.hurry()
	case listens:
		c.hurry()
	case comes:
		if c.hasAnswered() {
			return false
		}
	default:
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = make(map[*Conn]struct{})
	}
	l.all[c] = struct{}{}
	return true
}

// listen begins a read.
func (c *Conn) listen() {
	if c.phase == inHeader {
		c.stage.CompareAndSwap(waits, listens)
	}
}

// hurry ends the wait of who reads. Bytes that have left the system's memory are not known
// before that goroutine runs again: it says whether there was something, and closes the
// connection if not.
func (c *Conn) hurry() {
	c.listening.Lock()
	defer c.listening.Unlock()
	if c.stage.Load() == listens {
		c.hurried = c.Conn.SetReadDeadline(past) == nil
	}
}

// heard ends a read that has brought something.
func (c *Conn) heard() {
	c.listening.Lock()
	defer c.listening.Unlock()
	c.stage.Store(comes)
	if c.hurried { // net/http sets the next deadline when it has the first bytes
		c.hurried = false
		_ = c.Conn.SetReadDeadline(time.Time{})
	}
}

func (l *lateConns) forget(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, c)
}

// has reports whether a connection was kept, and not closed since.
func (l *lateConns) has(c *Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, has := l.all[c]
	return has
}

// goOn has a connection answered that was kept, if its goroutine has left it.
func (d *Door) goOn(c *Conn) {
	if !d.late.has(c) {
		return
	}
	c.counted = true
	d.open.add()
	if !d.taken.returned.giveBack(c) {
		d.open.remove()
	}
}

// close closes them all, answered or not.
func (l *lateConns) close() {
	l.mu.Lock()
	all := l.all
	l.all = nil
	l.mu.Unlock()
	for c := range all {
		_ = c.shut()
	}
}

// count notes whether the connection has, or waits for, a request that no handler has.
func (c *Conn) count(asked bool) {
	if c.door == nil || c.asked == asked {
		return
	}
	if c.asked = asked; asked {
		c.door.asked.add()
	} else {
		c.door.asked.remove()
	}
}

// hasAnswered reports whether something of an answer to the present request was written.
func (c *Conn) hasAnswered() bool {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.answered
}

// waitedLongEnough is asked when a read has ended with err and nothing else. It is true
// when a request has come at the very end of the time to wait for it: the read is then
// done again.
func (c *Conn) waitedLongEnough(err error) (again bool) {
	if c.stage.Load() != listens || c.phase != inHeader || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	// net/http sets the next deadline when it has the first byte.
	return c.hasMore() && c.SetReadDeadline(time.Time{}) == nil
}

// hasMore reports whether something has come that nobody has read.
func (c *Conn) hasMore() bool {
	raw := c.raw()
	return raw != nil && hasCome(raw)
}

// queue is a listener that, before it is closed, accepts those who have connected.
type queue struct {
	net.Listener
	parting atomic.Bool
	empty   chan struct{}  // closed when nobody is left
	shaking sync.WaitGroup // those who were accepted, and shake hands
	closed  chan struct{}
	once    sync.Once
}

func newQueue(ln net.Listener) *queue {
	return &queue{Listener: ln, empty: make(chan struct{}), closed: make(chan struct{})}
}

// aMoment is within which somebody who has connected is accepted.
const aMoment = 10 * time.Millisecond

func (q *queue) Accept() (net.Conn, error) {
	for {
		last := q.parting.Load()
		if last {
			_ = q.until(time.Now().Add(aMoment))
		}
		c, err := q.Listener.Accept()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return c, err
		}
		if last {
			close(q.empty)
			<-q.closed
			return nil, net.ErrClosed
		}
	}
}

// finish accepts who has connected, until nobody is left or ctx ends.
func (q *queue) finish(ctx context.Context) {
	q.parting.Store(true)
	if q.until(past) != nil {
		return // it has no deadlines
	}
	select {
	case <-q.empty:
	case <-q.closed:
	case <-ctx.Done():
	}
	_ = q.Listener.Close()
}

func (q *queue) until(at time.Time) error {
	if ln, ok := q.Listener.(interface{ SetDeadline(time.Time) error }); ok {
		return ln.SetDeadline(at)
	}
	return errors.ErrUnsupported
}

func (q *queue) Close() error {
	q.once.Do(func() { close(q.closed) })
	return q.Listener.Close()
}
