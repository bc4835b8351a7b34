package ingress

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"time"
)

// A client leaves by closing its connection. When it had not read everything the
// connection breaks, which is noticed at once. Else there is only the end of what
// it sends, and a client that closes only that side looks the same: it waits for
// the answer. Nor does that end show while something before it is unread. They
// differ when something is written to them: the connection of one that has left
// breaks then.

// errLeft says that the client has closed its connection.
var errLeft = errors.New("the client has closed the connection")

// askAgain is the time between two writes that ask a client whether it is there.
const askAgain = time.Second

// watch reads on while a request is answered. It returns when the client has
// left, or at the read deadline.
func (c *Conn) watch() error {
	for {
		switch err := c.readAhead(); {
		case err == nil:
		case errors.Is(err, io.EOF):
			return c.stay()
		default:
			return err
		}
	}
}

// readAhead reads what the client sends before it is asked for. At the end of
// what it sends, that is io.EOF.
func (c *Conn) readAhead() error {
	if len(c.held) >= heldMost {
		return c.stay()
	}
	if len(c.held) == 0 { // most of what comes early is a whole header
		n, err := c.Conn.Read(c.early[:])
		if n == 0 {
			return err
		}
		c.held = c.early[:n:n]
	} else {
		n := len(c.held)
		c.held = slices.Grow(c.held, heldMost-n)
		more, err := c.Conn.Read(c.held[n:heldMost])
		if more == 0 {
			return err
		}
		c.held = c.held[:n+more]
	}
	for bytes.HasPrefix(c.held, emptyLine) {
		c.held = c.held[len(emptyLine):]
	}
	return nil
}

// stay reads no more. It waits until the client has left, or for the read
// deadline. Without a way to find that out the client has left.
func (c *Conn) stay() error {
	raw := c.raw()
	if raw == nil || !c.head.http11 {
		return io.EOF
	}
	c.ask()
	var timer *time.Timer
	timer = time.AfterFunc(never, func() { c.ask(); timer.Reset(askAgain) })
	timer.Reset(askAgain)
	defer timer.Stop()
	if err := awaitBreak(raw); err != nil {
		return err
	}
	return errLeft
}

const never = 1<<63 - 1 // a time.Duration that does not pass

// ask writes what the client must answer, on the level of TCP, and may skip: an
// interim response, or once an answer has begun what sign writes.
func (c *Conn) ask() {
	if !c.writing.TryLock() {
		return // somebody writes
	}
	begun := c.answered
	if !begun {
		_, _ = c.Conn.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	}
	c.writing.Unlock()
	if write := c.sign.Load(); begun && write != nil {
		(*write)()
	}
}

// raw is the connection below TLS, nil when it is not one of the system's.
func (c *Conn) raw() syscall.RawConn {
	nc := c.Conn
	if secure, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = secure.NetConn()
	}
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}
