//go:build unix

package upstream

import "syscall"

// alive looks, without waiting, whether a kept connection can be used: neither
// closed by the upstream nor holding bytes that nobody asked for.
func (cn *conn) alive() bool {
	if cn.br.Buffered() > 0 {
		return false
	}
	if cn.raw == nil {
		return true
	}
	if cn.peek == nil {
		cn.peek = func(fd uintptr) {
			var b [1]byte
			cn.peekN, _, cn.peekErr = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		}
	}
	if cn.raw.Control(cn.peek) != nil {
		return false
	}
	if cn.peekErr == syscall.EAGAIN || cn.peekErr == syscall.EINTR {
		return true
	}
	// TLS sends session tickets on its own account.
	return cn.peekErr == nil && cn.peekN > 0 && cn.encoded
}
