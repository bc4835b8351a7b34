package upstream

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
)

// sentBody is a request's body as net/http reads it, from a goroutine of its
// own. release takes the source away from there.
type sentBody struct {
	shared  bool // of a connection of HTTP/2
	unblock func()

	reading sync.Mutex // held by Read
	body    []byte
	stream  io.Reader
	left    int64 // of body and stream; negative: not known

	done     atomic.Bool // all of it was read
	released atomic.Bool
	failed   atomic.Pointer[Error]
}

func newSentBody(req *Request, shared bool) *sentBody {
	b := &sentBody{shared: shared, unblock: req.Unblock, body: req.Body, stream: req.Stream, left: int64(len(req.Body))}
	if req.Stream != nil {
		b.left = req.Length
	}
	return b
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	switch {
	case b.released.Load() && b.shared:
		return 0, io.ErrClosedPipe
	case b.released.Load():
		// The connection is closed, so nothing can look like the body's end; and
		// net/http tells why it was, instead of this.
		return 0, io.EOF
	case len(b.body) > 0:
		n := copy(p, b.body)
		b.take(n)
		b.body = b.body[n:]
		return n, nil
	case b.stream == nil:
		b.done.Store(true)
		return 0, io.EOF
	}
	n, err := b.stream.Read(p)
	b.take(n)
	if err == nil {
		return n, nil
	}
	if b.released.Load() {
		return 0, io.EOF
	}
	if err == io.EOF && b.left <= 0 {
		b.done.Store(true)
		return n, io.EOF
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	b.failed.Store(&Error{Kind: Body, Err: err})
	return n, err
}

func (b *sentBody) take(n int) {
	if b.left >= 0 {
		b.left -= int64(n)
	}
}

// Close is net/http's word that it reads no more.
func (b *sentBody) Close() error {
	b.letGo()
	return nil
}

// letGo makes a Read that waits for its source return.
func (b *sentBody) letGo() {
	if b.released.Swap(true) || b.done.Load() {
		return
	}
	if b.unblock != nil {
		b.unblock()
	}
}

// release returns when the request's memory is in nobody's use.
func (b *sentBody) release() {
	b.letGo()
	b.reading.Lock()
	b.body, b.stream = nil, nil
	b.reading.Unlock()
}

// detach makes a body that is the caller's again one of our own, if it is still to
// be sent.
func (b *sentBody) detach() {
	if b.stream != nil || b.done.Load() {
		return
	}
	b.reading.Lock()
	if len(b.body) <= inline {
		b.body = bytes.Clone(b.body)
	}
	b.reading.Unlock()
}

// sending reports whether a part is still to be read.
func (b *sentBody) sending() bool { return b != nil && !b.done.Load() && !b.released.Load() }
