//go:build unix

package ingress

import "syscall"

// hasCome reports whether a connection has something to read.
func hasCome(raw syscall.RawConn) bool {
	var one [1]byte
	n := 0
	err := raw.Control(func(fd uintptr) {
		n, _, _ = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return err == nil && n > 0
}

// awaitBreak waits until a connection is broken, or for the read deadline. The
// runtime looks again whenever the connection's state has changed.
func awaitBreak(raw syscall.RawConn) error {
	return raw.Read(func(fd uintptr) bool {
		broken, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
		return err == nil && broken != 0
	})
}
