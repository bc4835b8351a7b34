//go:build unix

package ingress

import "syscall"

// awaitBreak waits until a connection is broken, or for the read deadline. The
// runtime looks again whenever the connection's state has changed.
func awaitBreak(raw syscall.RawConn) error {
	return raw.Read(func(fd uintptr) bool {
		broken, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
		return err == nil && broken != 0
	})
}
