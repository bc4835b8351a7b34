package ingress

import (
	"net/http"
	"strconv"
	"time"

	"antwort/server/buffer"
)

// Sink is the way to the client for one answer that is written in pieces. One
// goroutine at a time uses it; Limit may come from any.
type Sink interface {
	// Begin sets the status and header, which go with the first write. An
	// answer without Content-Length ends with its last write.
	Begin(status int, h http.Header)
	// Write sends buf[Room:] at once; buf[:Room] is the sink's to use. The
	// returned slice is buf, possibly grown.
	Write(buf []byte, last bool) ([]byte, error)
	// Limit makes a write fail that waits beyond t; the zero time ends that.
	Limit(t time.Time)
}

// Room is what a sink needs in front of the bytes: the size line of a chunk.
const Room = 10

// takenSink writes HTTP/1.1 (RFC 9112) on a connection taken from net/http.
type takenSink struct {
	c       *Conn
	head    *buffer.Buffer // not yet written; nil: it is
	chunked bool
}

// Sink returns the way to the client.
func (t *Taken) Sink() Sink { return &takenSink{c: t.conn} }

func (t *takenSink) Begin(status int, h http.Header) {
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

func (t *takenSink) Write(buf []byte, last bool) ([]byte, error) {
	start := Room
	if n := len(buf) - Room; t.chunked && n > 0 {
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

func (t *takenSink) Limit(at time.Time) { _ = t.c.SetWriteDeadline(at) }

// writerSink writes through net/http: HTTP/2, HTTP/1.0, tests.
type writerSink struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// NewWriterSink returns the way to the client through net/http.
func NewWriterSink(w http.ResponseWriter) Sink {
	return &writerSink{w, http.NewResponseController(w)}
}

func (s *writerSink) Begin(status int, h http.Header) {
	to := s.w.Header()
	for name, values := range h {
		to[name] = values
	}
	s.w.WriteHeader(status)
}

func (s *writerSink) Write(buf []byte, _ bool) ([]byte, error) {
	if len(buf) > Room {
		if _, err := s.w.Write(buf[Room:]); err != nil {
			return buf, err
		}
	}
	return buf, s.control.Flush()
}

func (s *writerSink) Limit(at time.Time) { _ = s.control.SetWriteDeadline(at) }
