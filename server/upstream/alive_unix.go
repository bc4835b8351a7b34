//go:build unix

package upstream

import (
	"errors"
	"syscall"
	"time"
)

// alive looks, without waiting, whether a kept connection can be used: neither
// closed by the upstream nor holding bytes that nobody asked for.
func (cn *conn) alive() bool {
	if cn.br.Buffered() > 0 {
		return false
	}
	if cn.peek.raw == nil {
		return true
	}
	switch n, err := cn.peek.waiting(); {
	case busy(err):
		return true
	case err != nil || n == 0 || !cn.encoded:
		return false
	}
	// TLS sends session tickets on its own account: read them, and see that
	// nothing else came.
	cn.SetReadDeadline(time.Now().Add(ticketTime))
	_, err := cn.br.Peek(1)
	cn.SetReadDeadline(time.Time{})
	if !isTimeout(err) {
		return false
	}
	_, err = cn.peek.waiting()
	return errors.Is(err, syscall.EAGAIN)
}

// ticketTime is how long the reading of bytes may take that are here already.
const ticketTime = time.Millisecond

// peeker looks at what waits on a TCP connection.
type peeker struct {
	raw  syscall.RawConn // nil when there is none
	look func(fd uintptr)
	n    int
	err  error
}

// waiting looks how many bytes, of at most one, can be read at once.
func (p *peeker) waiting() (int, error) {
	if p.look == nil { // kept to allocate it once
		p.look = func(fd uintptr) {
			var b [1]byte
			p.n, _, p.err = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		}
	}
	if err := p.raw.Control(p.look); err != nil {
		return 0, err
	}
	return p.n, p.err
}

// empty reports whether nothing waits, not even the end.
func (p *peeker) empty() bool {
	if p.raw == nil {
		return true
	}
	_, err := p.waiting()
	return busy(err)
}

// busy says that nothing can be read now.
func busy(err error) bool { return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) }
