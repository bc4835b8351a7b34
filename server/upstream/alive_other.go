//go:build !unix

package upstream

// alive cannot look without waiting here: a closed connection shows on use.
func (cn *conn) alive() bool { return cn.br.Buffered() == 0 }
