//go:build !unix

package ingress

import (
	"io"
	"syscall"
)

// awaitBreak cannot tell: the end of what a client sends is its leaving.
func awaitBreak(syscall.RawConn) error { return io.EOF }

// hasCome cannot tell.
func hasCome(syscall.RawConn) bool { return false }
