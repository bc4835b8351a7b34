package ingress

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is a client's connection as net/http has it. It gives net/http the bytes
// of one request at a time; those of the next stay here until the answer has
// ended. So each request's header is seen whole, whatever else came with it, and
// the client's leaving is noticed whatever it has sent before.
//
// What it assumes of net/http stands in assumptions_test.go, one test for each.
type Conn struct {
	net.Conn
	phase phase
	head  header // of the request that comes, or is answered
	body  chunks
	left  int64  // of a body with a length, to come
	held  []byte // of the next requests
	one   [1]byte
	early [512]byte // what is held may lie here

	door     *Door
	stage    atomic.Int32 // waits, listens, comes or known
	asked    bool         // counted in door.asked
	counted  bool         // it comes back from an answer that had it to itself
	handling atomic.Bool  // from a handler's start to its answer's end
	sign     atomic.Pointer[func()]

	listening sync.Mutex
	hurried   bool // the read deadline has been set to the past, under listening

	writing  sync.Mutex
	answered bool // something of the present answer was written, under writing
	stuck    bool // a write has failed, under writing
}

type phase int

const (
	inHeader  phase = iota
	inBody          // with a length
	inChunks        // chunked
	answering       // the request has come whole
	unframed        // a request that will be refused: all that comes is passed on
	inHTTP2         // all that comes is passed on
	upgraded        // to another protocol: all that comes is passed on
	ended           // no request can follow
)

// heldMost is how much of further requests is read before they are served.
const heldMost = 4 << 10

// Read gives net/http what belongs to the present request. Once that is whole, it
// returns only when the client has left, or at the read deadline.
func (c *Conn) Read(p []byte) (int, error) {
	for len(p) > 0 {
		switch c.phase {
		case answering:
			return 0, c.watch()
		case ended:
			return 0, io.EOF
		case inBody:
			p = p[:min(int64(len(p)), c.left)]
		}
		c.listen()
		n, err := c.fill(p)
		if n == 0 && c.waitedLongEnough(err) {
			continue
		}
		if n == 0 {
			c.stage.Store(known)
			return 0, err
		}
		if n = c.frame(p, n); n > 0 {
			return n, nil // an error stays, and comes with the next read
		}
	}
	return 0, nil
}

// fill reads what is held, else from the wire.
func (c *Conn) fill(p []byte) (int, error) {
	if len(c.held) == 0 {
		return c.Conn.Read(p)
	}
	if c.loneCR() { // the rest of the line must come first
		n, err := c.Conn.Read(c.one[:])
		c.held = append(c.held, c.one[:n]...)
		if err != nil {
			return 0, err
		}
	}
	n := copy(p, c.held)
	if c.held = c.held[n:]; len(c.held) == 0 {
		c.held = nil
	}
	return n, nil
}

func (c *Conn) loneCR() bool { return c.phase == inHeader && len(c.held) == 1 && c.held[0] == '\r' }

// frame finds what of p[:n], which has come, is the present request's, and holds
// the rest back. It returns how much that is.
func (c *Conn) frame(p []byte, n int) int {
	var mine int
	if c.phase == inHeader {
		c.heard()
		if c.head.lines == 0 && c.head.kept == nil {
			n = c.skipLines(p, n)
		}
		var whole bool
		mine, whole = c.head.read(p[:n])
		if c.head.http2 {
			c.phase, c.head, mine = inHTTP2, header{}, n
			c.stage.Store(known)
			c.count(false)
		} else if whole {
			c.headEnds()
			mine += c.frameBody(p[mine:n])
		}
	} else {
		mine = c.frameBody(p[:n])
	}
	if mine < n {
		c.held = append(append(make([]byte, 0, n-mine+len(c.held)), p[mine:n]...), c.held...)
	}
	return mine
}

var emptyLine = []byte("\r\n")

// skipLines drops the empty lines in front of a request, as RFC 9112 section 2.2
// recommends. It returns how much of p is left.
func (c *Conn) skipLines(p []byte, n int) int {
	start := 0
	for bytes.HasPrefix(p[start:n], emptyLine) {
		start += len(emptyLine)
	}
	if n-start == 1 && p[start] == '\r' {
		c.held = append([]byte{'\r'}, c.held...)
		n--
	}
	return copy(p, p[start:n])
}

// headEnds begins what follows a header that has ended.
func (c *Conn) headEnds() {
	h := &c.head
	switch {
	case h.problem != "":
		c.phase = unframed
	case h.coded:
		c.phase, c.body = inChunks, chunks{}
	case h.length > 0:
		c.phase, c.left = inBody, h.length
	default:
		c.phase = answering
	}
}

// frameBody takes what has come after a header. It returns how much of it is the
// present request's.
func (c *Conn) frameBody(p []byte) int {
	switch c.phase {
	case answering:
		return 0
	case inBody:
		n := int(min(int64(len(p)), c.left))
		if c.left -= int64(n); c.left == 0 {
			c.phase = answering
		}
		return n
	case inChunks:
		n, whole := c.body.read(p)
		if whole {
			c.phase = answering
		} else if c.body.state == chunksBroken {
			c.phase, c.head.problem = unframed, "its chunks are broken"
		}
		return n
	default:
		return len(p)
	}
}

// next begins when an answer has ended.
func (c *Conn) next() {
	c.handling.Store(false)
	c.sign.Store(nil)
	c.writing.Lock()
	c.answered = false
	c.writing.Unlock()
	switch c.phase {
	case answering:
		c.phase, c.head = inHeader, header{}
		if len(c.held) == 0 {
			c.stage.Store(waits)
		} else {
			c.stage.Store(comes)
		}
	case inHTTP2:
	default:
		c.phase = ended // where the next request begins is not known
	}
}

// Write passes an answer on; what net/http says by itself gets the body of all
// errors.
func (c *Conn) Write(p []byte) (int, error) {
	own := p
	if !c.handling.Load() {
		if e := refusal(p); e != nil {
			own = lastAnswer(e)
		}
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if !bytes.HasPrefix(p, interim) {
		c.answered = true
	}
	if n, err := c.Conn.Write(own); err != nil {
		c.stuck = true
		return min(n, len(p)), err
	}
	return len(p), nil
}

// interim begins answers that another one follows (RFC 9110 section 15.2).
var interim = []byte("HTTP/1.1 1")

// CloseWrite lets net/http end a connection so that its last answer is read.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close closes the connection, but for a request that has come to a door that drains:
// its answer is awaited.
func (c *Conn) Close() error {
	if c.door != nil && c.door.late.keeps(c) {
		return nil
	}
	return c.shut()
}

// shut closes the connection. TLS says so to the client, but not to one that has
// not taken what was written before: it would wait 5 s for that.
func (c *Conn) shut() error {
	if c.door != nil {
		c.door.late.forget(c)
	}
	if c.writing.TryLock() {
		stuck := c.stuck
		c.writing.Unlock()
		if !stuck {
			return c.Conn.Close()
		}
	}
	if secure, ok := c.Conn.(interface{ NetConn() net.Conn }); ok {
		return secure.NetConn().Close()
	}
	return c.Conn.Close()
}

type connKey struct{}

// of returns the connection of a request, nil when it is none of HTTP/1.
func of(r *http.Request) *Conn {
	if r.ProtoMajor != 1 {
		return nil
	}
	c, _ := r.Context().Value(connKey{}).(*Conn)
	return c
}

// hook makes net/http use the connections of this package, and counts them.
func (d *Door) hook(to *http.Server) {
	to.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, c)
	}
	to.ConnState = func(nc net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			c, ok := nc.(*Conn)
			if !ok || !c.counted {
				d.open.add()
			}
			if ok {
				c.count(to == d.http)
			}
		case http.StateIdle:
			if c, ok := nc.(*Conn); ok {
				c.next()
				c.count(to == d.http)
			}
		case http.StateClosed:
			if c, ok := nc.(*Conn); ok {
				c.count(false)
				d.goOn(c)
			}
			d.open.remove()
		case http.StateHijacked:
			d.open.remove()
		}
	}
}

// Begin says that what is written from now on is a handler's. It returns what is
// wrong with the request's header, "" for nothing: the request is then to be
// refused, and the connection closed.
func Begin(r *http.Request) (problem string) {
	c := of(r)
	if c == nil {
		return ""
	}
	c.handling.Store(true)
	c.count(false)
	if c.phase == inHeader {
		return "its header was not seen"
	}
	return c.head.differs(r)
}

// Secure reports whether a request came over TLS.
func Secure(r *http.Request) bool {
	if r.TLS != nil {
		return true // HTTP/2
	}
	c := of(r)
	if c == nil {
		return false
	}
	_, is := c.Conn.(*tls.Conn)
	return is
}

// WhenAsked makes ask be called when only a write can tell whether the client of
// a streamed answer is still there. It may come from any goroutine, until the
// answer has ended.
func WhenAsked(r *http.Request, ask func()) {
	if c := of(r); c != nil {
		c.sign.Store(&ask)
	}
}

var past = time.Unix(1, 0)
