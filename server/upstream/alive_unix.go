//go:build unix

package upstream

import (
	"syscall"
	"time"
)

// alive looks, without waiting, whether a kept connection can be used: neither
// closed by the upstream nor holding bytes that nobody asked for.
func (cn *conn) alive() bool {
	if cn.br.Buffered() > 0 {
		return false
	}
	if cn.raw == nil {
		return true
	}
	switch n, err := cn.waiting(); {
	case err == syscall.EAGAIN || err == syscall.EINTR:
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
	_, err = cn.waiting()
	return err == syscall.EAGAIN
}

// ticketTime is how long the reading of bytes may take that are here already.
const ticketTime = time.Millisecond

// waiting looks how many bytes, of at most one, can be read at once.
func (cn *conn) waiting() (int, error) {
	if cn.peek == nil {
		cn.peek = func(fd uintptr) {
			var b [1]byte
			cn.peekN, _, cn.peekErr = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		}
	}
	if err := cn.raw.Control(cn.peek); err != nil {
		return 0, err
	}
	return cn.peekN, cn.peekErr
}
