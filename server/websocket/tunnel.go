package websocket

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"antwort/server/buffer"
	"antwort/server/ingress"
)

// TunnelOptions are what a connection needs that is passed on.
type TunnelOptions struct {
	WriteTime time.Duration   // for what one side does not take
	Lifetime  time.Duration   // until the end of the connection, or of the caller's credential
	Ending    context.Context // ends the connection
	Closed    func(sent int64)
}

// Tunnel passes a client's connection on to a backend that speaks WebSocket with it:
// what either says goes to the other, unread, until one of them ends. Of the backend's
// frames the lengths are looked at, so that the client can be told why when the connection
// ends here. up has been hijacked.
func (s *Set) Tunnel(up *ingress.Upgrade, back net.Conn, opt TunnelOptions) {
	t := &tunnel{client: up.Conn(), back: back, opt: opt, left: make(chan struct{})}
	go func() {
		t.run()
		opt.Closed(t.sent)
		up.Done()
	}()
}

// tunnel is one such connection.
type tunnel struct {
	client, back net.Conn
	opt          TunnelOptions
	ending       atomic.Bool
	left         chan struct{} // closed once the client says nothing any more
	sent         int64         // bytes, to the client
}

func (t *tunnel) run() {
	ctx, cancel := context.WithTimeout(t.opt.Ending, t.opt.Lifetime)
	defer cancel()
	stop := context.AfterFunc(ctx, t.end)
	var asks sync.WaitGroup
	asks.Go(func() {
		defer close(t.left)
		t.passAsks()
		t.close()
	})
	t.passAnswers()
	t.close()
	asks.Wait()
	stop()
}

func (t *tunnel) close() {
	_ = t.client.Close()
	_ = t.back.Close()
}

// end ends the connection with the frame that is on its way, and tells the client why, who
// has a moment to say goodbye.
func (t *tunnel) end() {
	t.ending.Store(true)
	_ = t.back.SetReadDeadline(time.Now())
	time.AfterFunc(2*goodbye, t.close)
}

// passAsks passes on what the client says.
func (t *tunnel) passAsks() {
	buf := buffer.Get()
	defer buf.Put()
	for {
		n, err := t.client.Read(buf.B[:cap(buf.B)])
		if n > 0 && !t.write(t.back, buf.B[:n]) || err != nil {
			return
		}
	}
}

// passAnswers passes on what the backend says.
func (t *tunnel) passAnswers() {
	buf := buffer.Get()
	defer buf.Put()
	var f frames
	late := false
	for {
		n, err := t.back.Read(buf.B[:cap(buf.B)])
		ending := t.ending.Load()
		p := buf.B[:n]
		if f.follow(&p, ending); len(p) > 0 {
			if !t.write(t.client, p) {
				return
			}
			t.sent += int64(len(p))
		}
		switch {
		case ending && f.between():
			if t.write(t.client, goingAway) {
				<-t.left
			}
			return
		case err == nil:
		case ending && !late && errors.Is(err, os.ErrDeadlineExceeded): // within a frame
			late = true
			_ = t.back.SetReadDeadline(time.Now().Add(goodbye))
		default:
			return
		}
	}
}

func (t *tunnel) write(to net.Conn, p []byte) bool {
	_ = to.SetWriteDeadline(time.Now().Add(t.opt.WriteTime))
	_, err := to.Write(p)
	return err == nil
}

// goingAway is a frame that closes a connection (RFC 6455 section 5.5.1) with code 1001. A
// control frame may stand between any two others.
var goingAway = []byte("\x88\x1e\x03\xe9the connection is ended here")

// frames follows the frames of what one side says, by their lengths (RFC 6455 section 5.2).
type frames struct {
	head [14]byte // of the frame that has begun, as far as it has come
	n    int
	left uint64 // bytes of its payload that are still to come
}

// between reports whether no frame has begun that has not ended.
func (f *frames) between() bool { return f.n == 0 && f.left == 0 }

// follow takes what comes next; with last it cuts it off where the frame ends that is on
// its way.
func (f *frames) follow(p *[]byte, last bool) {
	rest := *p
	for len(rest) > 0 && (!last || !f.between()) {
		if f.left > 0 {
			n := min(f.left, uint64(len(rest)))
			rest = rest[n:]
			f.left -= n
			continue
		}
		f.head[f.n] = rest[0]
		f.n++
		rest = rest[1:]
		if size, left := f.read(); f.n >= 2 && f.n == size {
			f.n, f.left = 0, left
		}
	}
	*p = (*p)[:len(*p)-len(rest)]
}

// read reads the head: how long it is, and how long the payload, once it is there.
func (f *frames) read() (size int, payload uint64) {
	size, payload = 2, uint64(f.head[1]&0x7f)
	switch payload {
	case 126:
		size = 4
	case 127:
		size = 10
	}
	if size > 2 {
		payload = 0
		for _, b := range f.head[2:size] {
			payload = payload<<8 | uint64(b)
		}
	}
	if f.head[1]&0x80 != 0 { // masked: a key follows
		size += 4
	}
	return size, payload
}
