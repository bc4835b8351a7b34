package server

import (
	"net/http"
	"strconv"
	"time"

	"antwort/server/buffer"
)

// sink is the way to the client for one answer that is written in pieces. One
// goroutine at a time uses it; expire may come from any.
type sink interface {
	// begin sets the status and header, which go with the first write. An
	// answer without Content-Length ends with its last write.
	begin(status int, h http.Header)
	// write sends buf[room:] at once; buf[:room] is the sink's to use. The
	// returned slice is buf, possibly grown.
	write(buf []byte, last bool) ([]byte, error)
	// limit makes a write fail that waits beyond t; the zero time ends that.
	limit(t time.Time)
}

// room is what a sink needs in front of the bytes: the size line of a chunk.
const room = 10

var noRoom [room]byte

// takenSink writes HTTP/1.1 (RFC 9112) on a connection taken from net/http.
type takenSink struct {
	c       *takenConn
	head    *buffer.Buffer // not yet written; nil: it is
	chunked bool
}

func (t *takenSink) begin(status int, h http.Header) {
	t.head = buffer.Get()
	b := append(t.head.B, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	b = append(b, "\r\n"...)
	if _, ok := h["Date"]; !ok {
		h["Date"] = []string{time.Now().UTC().Format(http.TimeFormat)}
	}
	if _, ok := h["Content-Length"]; !ok {
		t.chunked = true
		h["Transfer-Encoding"] = []string{"chunked"}
	}
	w := appender(b)
	_ = h.Write(&w) // an appender does not fail; line breaks in values become spaces
	t.head.B = append(w, "\r\n"...)
}

type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}

func (a *appender) WriteString(s string) (int, error) {
	*a = append(*a, s...)
	return len(s), nil
}

func (t *takenSink) write(buf []byte, last bool) ([]byte, error) {
	start := room
	if n := len(buf) - room; t.chunked && n > 0 {
		buf = append(buf, "\r\n"...)
		start -= 2
		copy(buf[start:], "\r\n")
		for ; n > 0; n >>= 4 {
			start--
			buf[start] = "0123456789abcdef"[n&15]
		}
	}
	if t.chunked && last {
		buf = append(buf, "0\r\n\r\n"...)
	}
	out := buf[start:]
	if head := t.head; head != nil {
		t.head = nil
		defer head.Put()
		head.B = append(head.B, out...)
		out = head.B
	}
	_, err := t.c.Write(out)
	return buf, err
}

func (t *takenSink) limit(at time.Time) { _ = t.c.SetWriteDeadline(at) }

// writerSink writes through net/http: HTTP/2, HTTP/1.0, tests.
type writerSink struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func newWriterSink(w http.ResponseWriter) *writerSink {
	return &writerSink{w, http.NewResponseController(w)}
}

func (s *writerSink) begin(status int, h http.Header) {
	to := s.w.Header()
	for name, values := range h {
		to[name] = values
	}
	s.w.WriteHeader(status)
}

func (s *writerSink) write(buf []byte, _ bool) ([]byte, error) {
	if len(buf) > room {
		if _, err := s.w.Write(buf[room:]); err != nil {
			return buf, err
		}
	}
	return buf, s.control.Flush()
}

func (s *writerSink) limit(at time.Time) { _ = s.control.SetWriteDeadline(at) }
