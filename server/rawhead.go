package server

import (
	"bytes"
	"net/http"
	"sync"

	"antwort/server/buffer"
	"antwort/shared/failure"
	"antwort/shared/responses"
)

// net/http tidies a request's header up before a handler sees it: of
// Content-Length and Transfer-Encoding it keeps the latter, it unfolds lines, and
// takes LF for CRLF. A proxy in front may read such a header in another way, and
// so see other requests in the same bytes (RFC 9112 section 11.2). So the
// connection keeps the bytes of the header for the handler, which refuses it.

// rawHead is what came of a request's header, and what was read along with it.
type rawHead struct {
	mu     sync.Mutex // net/http may read while a handler runs
	buf    *buffer.Buffer
	state  headState
	limits int // set since the last answer
}

type headState int

const (
	headWhole   headState = iota // from the connection's first byte on
	headBetween                  // an answer has ended; of the next header up to 4 bytes may have been read
	headPart                     // its begin was read along with the request before
	headTaken                    // the handler runs
	headNone                     // the connection has no such headers
)

// add keeps what was read.
func (h *rawHead) add(p []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(p) == 0 || h.state >= headPart {
		return
	}
	h.state = headWhole
	if h.buf == nil {
		h.buf = buffer.Get()
	}
	h.buf.B = append(h.buf.B, p...)
	if bytes.HasPrefix(h.buf.B, []byte("PRI * HTTP/2.0\r\n")) {
		h.state = headNone
		h.drop()
	}
}

// next begins when an answer has ended.
func (h *rawHead) next() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != headNone {
		h.state, h.limits = headBetween, 0
		h.drop()
	}
}

// limited notes that net/http limits the time of reading: after an answer first
// for the wait, then for the header. When nothing was read in between, it had the
// header's begin already.
func (h *rawHead) limited() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.limits++; h.state == headBetween && h.limits > 1 {
		h.state = headPart
	}
}

func (h *rawHead) drop() {
	if h.buf != nil {
		h.buf.Put()
		h.buf = nil
	}
}

// take ends the header and returns its bytes, nil when they are not known.
func (h *rawHead) take() *buffer.Buffer {
	h.mu.Lock()
	defer h.mu.Unlock()
	buf := h.buf
	h.buf, h.state = nil, headTaken
	return buf
}

// ambiguous says what others may read differently in the header of a request,
// "" for nothing. Up to 4 bytes of head may be missing at its begin. When all of
// it is, because the client did not wait for the answer before, a request is
// refused if its length could be read differently.
func ambiguous(head []byte, r *http.Request) string {
	framed := r.TransferEncoding != nil || !r.ProtoAtLeast(1, 1)
	// net/http skips these after a POST: an empty line there ends no header.
	for n := 0; n < 4 && len(head) > 0 && (head[0] == '\r' || head[0] == '\n'); n++ {
		head = head[1:]
	}
	var length, coding bool
	for first := true; ; first = false {
		i := bytes.IndexByte(head, '\n')
		if i < 0 {
			break
		}
		line := head[:i]
		head = head[i+1:]
		switch {
		case i == 0 || line[i-1] != '\r':
			return "a line of the header ends with LF instead of CRLF"
		case i == 1: // the header's end
			switch {
			case length && coding:
				return "content-length and transfer-encoding exclude each other"
			case coding && !r.ProtoAtLeast(1, 1):
				return "HTTP/1.0 has no transfer-encoding"
			}
			return ""
		case first:
			continue
		case line[0] == ' ' || line[0] == '\t':
			return "a line of the header is folded"
		}
		switch c := bytes.IndexByte(line, ':'); c {
		case len(contentLength):
			if bytes.EqualFold(line[:c], contentLength) {
				if length { // net/http takes equal ones
					return "content-length is given more than once"
				}
				length = true
			}
		case len(transferEncoding):
			coding = coding || bytes.EqualFold(line[:c], transferEncoding)
		}
	}
	if framed {
		return "transfer-encoding, and HTTP/1.0, need that the client waits for the answer to the request before"
	}
	return ""
}

var (
	contentLength    = []byte("content-length")
	transferEncoding = []byte("transfer-encoding")
)

// maxTarget bounds a request's target, in bytes (RFC 9110 section 4.1).
const maxTarget = 8 << 10

// wellFormed answers a request whose header is ambiguous, or whose target is too long,
// and returns false.
func (x *exchange) wellFormed() bool {
	if c, ok := x.r.Context().Value(clientConnKey{}).(*clientConn); ok && x.r.ProtoMajor == 1 {
		var head []byte
		if buf := c.head.take(); buf != nil {
			defer buf.Put()
			head = buf.B
		}
		if why := ambiguous(head, x.r); why != "" {
			x.answerFailure(failure.Of(failure.AmbiguousRequest, responses.NewError(http.StatusBadRequest, "invalid_http", "the request is not valid HTTP: "+why)).With("Connection", "close"))
			return false
		}
	}
	if len(x.r.RequestURI) > maxTarget {
		x.rec.Path = x.rec.Path[:min(len(x.rec.Path), 256)]
		x.answerFailure(failure.Of(failure.TargetTooLong, responses.NewError(http.StatusRequestURITooLong, "uri_too_long", "the request's path and query are over this server's limit of 8192 bytes")))
		return false
	}
	return true
}
