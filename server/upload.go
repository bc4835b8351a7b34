package server

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"antwort/server/buffer"
	"antwort/server/dispatch"
	"antwort/shared/failure"
)

// attachBody reads what of the body comes at once; more is streamed.
func (x *exchange) attachBody(req *dispatch.Request) *failure.Failure {
	buf := req.Held
	limit := x.gen.cfg.Limits.RequestBodyBytes
	length := x.r.ContentLength
	switch {
	case length == 0:
		return nil
	case length > limit:
		return tooLarge(limit)
	}
	up := &upload{x: x, left: limit}
	buf.Grow(int(min(max(length, 0), inlineBody)) + 1)
	for len(buf.B) <= inlineBody {
		if !buf.Grow(512) {
			return x.held.Refusal().With("Connection", "close")
		}
		n, err := up.Read(buf.B[len(buf.B):cap(buf.B)])
		buf.B = buf.B[:len(buf.B)+n]
		if errors.Is(err, io.EOF) {
			req.Body = buf.B
			return nil
		}
		if err != nil {
			return x.readError(err, limit)
		}
	}
	req.Body, req.Stream, req.Length = buf.B, up, length
	req.Repeat = false // what has been passed on is not kept
	req.Unread = func(err error) *failure.Failure { return x.readError(err, limit) }
	x.upload = up
	// An answer that comes before the body's end is passed on at once.
	_ = http.NewResponseController(x.w).EnableFullDuplex()
	req.Unblock = up.unblock
	return nil
}

// inlineBody is the largest body that is held instead of streamed, in bytes.
const inlineBody = 64 << 10

// upload is a request's body on its way, within the limit. A goroutine of the
// upstream's client may read it.
type upload struct {
	x    *exchange
	left int64

	reading sync.Mutex // held by Read
	slow    bool       // the client was, under reading

	mu       sync.Mutex
	read     bool // to its end
	released bool // by unblock
}

func (u *upload) Read(p []byte) (int, error) {
	u.reading.Lock()
	defer u.reading.Unlock()
	n, err := u.x.r.Body.Read(p)
	u.slow = errors.Is(err, os.ErrDeadlineExceeded)
	if u.left -= int64(n); u.left < 0 {
		return 0, buffer.ErrTooLarge
	}
	if errors.Is(err, io.EOF) {
		u.mu.Lock()
		u.read = true
		u.x.unlimitReading()
		u.mu.Unlock()
	}
	return n, err
}

// unblock makes a Read that waits for the client return.
func (u *upload) unblock() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.released = true
	if !u.read {
		_ = http.NewResponseController(u.x.w).SetReadDeadline(time.Unix(1, 0))
	}
}

// clientLeft tells whether the end of the request's context means that: to
// net/http a read that took too long looks the same. u may be nil.
func (u *upload) clientLeft() bool {
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

func (u *upload) wholeRead() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.read
}

// closeAfter makes an answer the connection's last when the request's body was
// not read to its end: the rest of it must not be taken for a request.
func (x *exchange) closeAfter(h http.Header) {
	if x.upload != nil && !x.upload.wholeRead() && x.r.ProtoMajor == 1 {
		h["Connection"] = []string{"close"}
	}
}
