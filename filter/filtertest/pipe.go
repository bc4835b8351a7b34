package filtertest

import (
	"errors"
	"io"
	"net/http"
	"sync"

	"antwort/filter/filtertest/vm"
)

// pipe carries a message from the filter chain, which must not block, to the
// goroutine that writes it on: to the client or to the upstream handler.
type pipe struct {
	mu       sync.Mutex
	changed  sync.Cond
	headers  *vm.HeaderMap // nil until the message starts
	bodyless bool          // the message ends with its headers
	buf      []byte
	trailers http.Header
	ended    bool
	err      error // the message was cut, or its reader has gone
	left     int64 // bytes that Content-Length still allows; negative: no limit
}

func newPipe() *pipe {
	p := &pipe{left: -1}
	p.changed.L = &p.mu
	return p
}

func (p *pipe) update(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		f()
	}
	p.changed.Broadcast()
}

func (p *pipe) start(h *vm.HeaderMap, end bool) {
	p.update(func() { p.headers, p.bodyless, p.ended = h, end, end })
}

func (p *pipe) write(b []byte, end bool) {
	p.update(func() { p.buf, p.ended = append(p.buf, b...), p.ended || end })
}

func (p *pipe) finish(trailers http.Header) {
	p.update(func() { p.trailers, p.ended = trailers, true })
}

// cut ends the message too early; what was written before can still be read.
func (p *pipe) cut(err error) {
	p.update(func() { p.err = err })
}

// await waits until the message has started or was cut.
func (p *pipe) await() (h *vm.HeaderMap, bodyless bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.headers == nil && p.err == nil {
		p.changed.Wait()
	}
	if p.headers == nil {
		return nil, false, p.err
	}
	return p.headers, p.bodyless, nil
}

// drained waits until at most limit bytes wait to be read; negative: no limit.
func (p *pipe) drained(limit int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for limit >= 0 && len(p.buf) > limit && p.err == nil {
		p.changed.Wait()
	}
}

// next waits for bytes and takes all there are; io.EOF after the last.
func (p *pipe) next() ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case len(p.buf) > 0:
			b := p.buf
			p.buf = nil
			p.changed.Broadcast()
			return b, nil
		case p.err != nil:
			return nil, p.err
		case p.ended:
			return nil, io.EOF
		}
		p.changed.Wait()
	}
}

// body is the upstream handler's view of a request's pipe.
type body struct {
	*pipe
	request *http.Request // its Trailer is filled in at the end
	rest    []byte
}

func (b *body) Read(q []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if len(b.rest) == 0 {
		p, err := b.next()
		if errors.Is(err, io.EOF) {
			if b.left > 0 { // fewer bytes than Content-Length says
				return 0, io.ErrUnexpectedEOF
			}
			b.request.Trailer = b.trailers
		}
		if err != nil {
			return 0, err
		}
		b.rest = p
	}
	n := copy(q, b.rest)
	if b.left > 0 {
		n = int(min(int64(n), b.left))
		b.left -= int64(n)
	}
	b.rest = b.rest[n:]
	return n, nil
}

func (b *body) Close() error {
	b.cut(http.ErrBodyReadAfterClose)
	return nil
}
