package reqbody

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"antwort/server/buffer"
	"antwort/shared/failure"
)

// inlineBody is the largest body that is held instead of streamed, in bytes.
const inlineBody = 64 << 10

// Upload reads what of the body comes at once into buf. It returns the rest of a
// larger one, to be passed on while it comes; nil when there is none. An answer may
// then be written before the body's end.
func (b *Body) Upload(buf *buffer.Buffer) (*Upload, *failure.Failure) {
	length := b.r.ContentLength
	switch {
	case length == 0:
		return nil, nil
	case length > b.limits.Bytes:
		return nil, b.tooLarge()
	}
	up := &Upload{body: b, left: b.limits.Bytes}
	buf.Grow(int(min(max(length, 0), inlineBody)) + 1)
	for len(buf.B) <= inlineBody {
		if !buf.Grow(512) {
			return nil, b.failed(buffer.ErrNoRoom)
		}
		n, err := up.Read(buf.B[len(buf.B):cap(buf.B)])
		buf.B = buf.B[:len(buf.B)+n]
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, b.failed(err)
		}
	}
	_ = http.NewResponseController(b.w).EnableFullDuplex()
	return up, nil
}

// Upload is a request's body on its way, within the limit. A goroutine of the
// upstream's client may read it.
type Upload struct {
	body *Body
	left int64

	reading sync.Mutex // held by Read
	slow    bool       // the client was, under reading

	mu       sync.Mutex
	read     bool // to its end
	released bool // by Unblock
}

// Read reads what has come. It waits for the client.
func (u *Upload) Read(p []byte) (int, error) {
	u.reading.Lock()
	defer u.reading.Unlock()
	n, err := u.body.r.Body.Read(p)
	u.slow = errors.Is(err, os.ErrDeadlineExceeded)
	if u.left -= int64(n); u.left < 0 {
		return 0, buffer.ErrTooLarge
	}
	if errors.Is(err, io.EOF) {
		u.mu.Lock()
		u.read = true
		u.body.unlimitTime()
		u.mu.Unlock()
	}
	return n, err
}

// Unblock makes a Read that waits for the client return.
func (u *Upload) Unblock() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.released = true
	if !u.read {
		_ = http.NewResponseController(u.body.w).SetReadDeadline(time.Unix(1, 0))
	}
}

// ClientLeft tells whether the end of the request's context means that: to
// net/http a read that took too long looks the same. u may be nil.
func (u *Upload) ClientLeft() bool {
	if u == nil {
		return true
	}
	u.reading.Lock() // a Read that failed returns at once
	slow := u.slow
	u.reading.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	return !slow && !u.released
}

// WholeRead reports whether it was read to its end.
func (u *Upload) WholeRead() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.read
}

// Linger is the body's.
func (u *Upload) Linger() { u.body.Linger() }

// Failed tells what went wrong between the client and us in a Read.
func (u *Upload) Failed(err error) *failure.Failure { return u.body.failed(err) }
