package upstream

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// seenConn is the TCP connection below one of net/http's. It shows what net/http
// does not tell: whether bytes have come, whether the upstream has ended them,
// and whether a kept connection waits with nothing read.
type seenConn struct {
	net.Conn
	peek peeker

	came  atomic.Bool // a byte, since the exchange began
	ended atomic.Bool // by the upstream

	mu      sync.Mutex
	moved   sync.Cond     // reading or closed has changed
	reading bool          // net/http waits for bytes: all before are dealt with
	closed  bool          // by net/http
	over    chan struct{} // closed when no answer can come to this exchange; nil: there is none
	onClose func()        // of this exchange
}

func newSeenConn(nc net.Conn) *seenConn {
	c := &seenConn{Conn: nc}
	c.moved.L = &c.mu
	if sc, ok := nc.(syscall.Conn); ok {
		c.peek.raw, _ = sc.SyscallConn()
	}
	return c
}

// begin is the start of an exchange; onClose is called when the connection is
// closed before its end.
func (c *seenConn) begin(onClose func()) {
	c.came.Store(false)
	c.mu.Lock()
	c.over, c.onClose = make(chan struct{}), onClose
	c.mu.Unlock()
}

// answer says that the header of the answer is there.
func (c *seenConn) answer() {
	c.mu.Lock()
	c.hopeless()
	c.mu.Unlock()
}

// end is the end of the exchange.
func (c *seenConn) end() {
	c.mu.Lock()
	c.hopeless()
	c.onClose = nil
	c.mu.Unlock()
}

func (c *seenConn) hopeless() {
	if c.over != nil {
		close(c.over)
		c.over = nil
	}
}

func (c *seenConn) Read(p []byte) (int, error) {
	c.set(true)
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.came.Store(true)
	}
	if err != nil {
		if errors.Is(err, io.EOF) {
			c.ended.Store(true)
		}
		c.answer()
	}
	c.set(false)
	return n, err
}

func (c *seenConn) set(reading bool) {
	c.mu.Lock()
	c.reading = reading
	c.moved.Broadcast()
	c.mu.Unlock()
}

// salvageTime is how long an answer may take to be read that is there already.
const salvageTime = time.Second

// Write keeps the news of a broken connection back until the answer has been
// read: an upstream that refuses a body half way has often answered already, and
// net/http looks no further than the failed write. On a connection that net/http
// has closed nothing fails, so that it tells why it has.
func (c *seenConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err == nil {
		return n, nil
	}
	c.mu.Lock()
	over, closed := c.over, c.closed
	c.mu.Unlock()
	if closed {
		return len(p), nil
	}
	if over != nil {
		timer := time.NewTimer(salvageTime)
		defer timer.Stop()
		select {
		case <-over:
		case <-timer.C:
		}
	}
	return n, err
}

// Close is called by net/http when it gives the connection up.
func (c *seenConn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.moved.Broadcast()
	c.mu.Unlock()
	err := c.Conn.Close()
	c.mu.Lock()
	c.hopeless()
	onClose := c.onClose
	c.onClose = nil
	c.mu.Unlock()
	if onClose != nil {
		onClose()
	}
	return err
}

// settle waits until net/http has looked at all that it has read: either it
// waits for more, or it has found bytes that nobody asked for and closes. It
// reports which.
func (c *seenConn) settle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.reading && !c.closed {
		c.moved.Wait()
	}
	return !c.closed
}

// quiet reports whether no bytes wait.
func (c *seenConn) quiet() bool { return c.peek.empty() }
