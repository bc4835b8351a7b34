package ingress

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
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
	open     *openConns
	answers  sync.WaitGroup // that are under way

	mu  sync.Mutex
	all map[*Taken]struct{}
}

// part ends the connections that wait for a request, and those of running answers when
// these end. A request that has come is given back still.
func (t *takenConns) part() {
	t.closed.Store(true)
	for _, c := range t.list() {
		c.part()
	}
}

// abort closes every connection, and gives none back.
func (t *takenConns) abort() {
	t.closed.Store(true)
	_ = t.returned.Close()
	for _, c := range t.list() {
		_ = c.conn.Close()
	}
}

func (t *takenConns) list() []*Taken {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*Taken, 0, len(t.all))
	for c := range t.all {
		all = append(all, c)
	}
	return all
}

// Taken is the connection of one answer, which net/http does not know of. Its
// answer's goroutine writes, watch reads.
type Taken struct {
	conn *Conn
	set  *takenConns
	gone func()

	mu    sync.Mutex
	early bool // something of the client's next request is held
	left  bool // the client has
	shut  bool // the client sends nothing any more
	over  bool // the answer has ended
	keep  bool // the connection outlives the answer
	next  bool // watch looks whether the next request has come
}

// Take takes the connection of a request over from net/http, for a streamed
// answer. It returns nil when that cannot be: the answer then goes through w. gone
// is called when the client leaves before the answer's end. The request's context
// ends with its handler. Finish and Done must be called.
func (d *Door) Take(w http.ResponseWriter, r *http.Request, gone func()) *Taken {
	c := of(r)
	hj, ok := w.(http.Hijacker)
	if !ok || c == nil || c.phase != answering || !c.head.http11 || r.Close {
		return nil
	}
	// Bytes of an unread body would be taken for the next request.
	var one [1]byte
	if n, err := r.Body.Read(one[:]); n != 0 || err != io.EOF {
		return nil
	}
	t := &Taken{conn: c, set: &d.taken, gone: gone}
	if d.taken.take(t, hj) != nil {
		return nil
	}
	t.early = len(c.held) > 0 // until now net/http may read
	_ = c.SetDeadline(time.Time{})
	go t.watch()
	return t
}

// take takes a connection over from net/http.
func (t *takenConns) take(c *Taken, from http.Hijacker) error {
	t.answers.Add(1) // before net/http's Shutdown stops counting it
	t.open.add()
	if _, _, err := from.Hijack(); err != nil {
		t.open.remove()
		t.answers.Done()
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all[c] = struct{}{}
	return nil
}

// Taken returns how many connections net/http does not know of at the moment.
func (d *Door) Taken() int { return len(d.taken.list()) }

// WhenAsked is the function WhenAsked for a connection that was taken.
func (t *Taken) WhenAsked(ask func()) { t.conn.sign.Store(&ask) }

// watch notices the client's leaving, and its next request.
func (t *Taken) watch() {
	defer t.forget()
	for t.hears(t.conn.readAhead()) {
	}
	t.mu.Lock()
	over, keep := t.over, t.keep
	if over && keep {
		t.next = true // its deadlines are others' from now on
	}
	t.mu.Unlock()
	if over && keep && len(t.conn.held) == 0 {
		t.lookAgain()
	}
	switch {
	case !over:
		t.gone() // Finish closes the connection
	case keep && len(t.conn.held) > 0:
		_ = t.conn.SetDeadline(time.Time{})
		t.conn.next()
		t.conn.counted = true
		t.set.open.add()
		if !t.set.returned.giveBack(t.conn) {
			t.set.open.remove()
		}
	default:
		_ = t.conn.Close()
	}
}

// lookAgain reads a request that has come at the very end of the time to wait for it.
func (t *Taken) lookAgain() {
	if t.conn.hasMore() && t.conn.SetReadDeadline(time.Time{}) == nil {
		_ = t.conn.readAhead()
	}
}

// part ends the wait for a next request.
func (t *Taken) part() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over && !t.next {
		_ = t.conn.SetReadDeadline(past)
	}
}

// hears takes the result of a read. It returns false when the client has left, or
// the answer has ended.
func (t *Taken) hears(err error) (more bool) {
	if errors.Is(err, io.EOF) && t.shuts() {
		err = t.conn.stay()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.early = len(t.conn.held) > 0
	if err != nil && !t.over {
		t.left = true
	}
	return err == nil && !t.over
}

// shuts notes that the client sends nothing any more; true while it may wait for
// the answer.
func (t *Taken) shuts() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shut = true
	return !t.over
}

func (t *Taken) forget() {
	t.set.mu.Lock()
	defer t.set.mu.Unlock()
	if _, has := t.set.all[t]; has {
		delete(t.set.all, t)
		t.set.open.remove()
	}
}

// Finish ends the answer: whole says that all of it was written, so that the
// connection can serve another request.
func (t *Taken) Finish(whole bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	t.keep = whole && !t.left && (t.early || !t.shut) && !t.set.closed.Load()
	switch {
	case !t.keep:
		_ = t.conn.Close()
	case t.early: // wakes watch
		_ = t.conn.SetReadDeadline(past)
	default:
		_ = t.conn.SetReadDeadline(time.Now().Add(t.set.idle))
	}
}

// Done says that nothing is left to do for the answer.
func (t *Taken) Done() { t.set.answers.Done() }

// returnedConns is the listener that gives connections back to net/http.
type returnedConns struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newReturnedConns() *returnedConns {
	return &returnedConns{conns: make(chan net.Conn), done: make(chan struct{})}
}

// giveBack gives a connection back; false when it was closed instead.
func (l *returnedConns) giveBack(c *Conn) bool {
	select {
	case l.conns <- c:
		return true
	case <-l.done:
		_ = c.shut()
		return false
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
