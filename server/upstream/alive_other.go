//go:build !unix

package upstream

import "syscall"

// alive cannot look without waiting here: a closed connection shows on use.
func (cn *conn) alive() bool { return cn.br.Buffered() == 0 }

// peeker looks at what waits on a TCP connection, where the system allows it.
type peeker struct{ raw syscall.RawConn }

func (*peeker) empty() bool { return true }
