package upstream

import (
	"bufio"
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

const (
	readBuffer  = 2 << 10  // of one connection: all that a waiting stream holds
	headerLimit = 64 << 10 // bytes of an answer's header
)

var errHeaderTooLong = errors.New("answer's header is over 64 KiB")

// conn is one connection to the upstream, used by one exchange at a time.
type conn struct {
	net.Conn                 // TCP or TLS
	raw      syscall.RawConn // of the TCP connection; nil when there is none
	encoded  bool            // TLS: bytes may wait that are no answer
	br       *bufio.Reader

	budget    int  // header bytes still allowed; negative: no limit
	answered  bool // a byte of the present answer has come
	ended     bool // the upstream has ended the connection
	reused    bool
	idleSince time.Time

	peek    func(fd uintptr) // kept to allocate it once
	peekN   int
	peekErr error
}

func newConn(nc, tcp net.Conn) *conn {
	cn := &conn{Conn: nc, encoded: nc != tcp}
	if sc, ok := tcp.(syscall.Conn); ok {
		cn.raw, _ = sc.SyscallConn()
	}
	cn.br = bufio.NewReaderSize(cn, readBuffer)
	return cn
}

func (cn *conn) reset() {
	cn.answered, cn.reused = false, true
}

// Read counts the header's bytes, for http.ReadResponse has no limit.
func (cn *conn) Read(p []byte) (int, error) {
	if cn.budget >= 0 {
		if cn.budget == 0 {
			return 0, errHeaderTooLong
		}
		p = p[:min(len(p), cn.budget)]
	}
	n, err := cn.Conn.Read(p)
	cn.ended = cn.ended || err == io.EOF
	if n > 0 {
		cn.answered = true
		if cn.budget >= 0 {
			cn.budget -= n
		}
	}
	return n, err
}
