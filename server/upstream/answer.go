package upstream

import (
	"errors"
	"net/http"
	"strings"
	"time"
)

// Answer is the upstream's answer: its header, and its body to be read. It
// belongs to one goroutine.
type Answer struct {
	Status int
	Header http.Header
	Length int64 // bytes of the body, -1 when unknown
	Rest
}

// Rest is what of an answer comes after its header.
type Rest interface {
	// Read reads the body, as an io.Reader. A body that is cut ends with another
	// error than io.EOF, one that is late with os.ErrDeadlineExceeded.
	Read(p []byte) (int, error)
	// Wait returns when bytes of the body, its end or an error can be read, or
	// at once. It holds no memory meanwhile: take a read buffer afterwards.
	Wait()
	// SetReadDeadline limits reads of the body; the zero time ends the limit.
	SetReadDeadline(t time.Time)
	// DropHeader lets go of the header's memory, for answers that take long.
	DropHeader()
	// Sending reports whether a part of the request is still to be sent, for an
	// upstream may answer early. Its Body is in use until then, or until Close.
	Sending() bool
	// Keep says whether Close may keep the connection, as it may when nothing else
	// is said. After an answer that is not what was asked for, more may follow that
	// nobody asked for. In HTTP/2, where that is no answer, it changes nothing.
	Keep(may bool)
	// Close ends the exchange: the connection is kept when the body was read to
	// its end, else closed or, in HTTP/2, its stream reset, which tells the
	// upstream to stop working.
	Close()
}

// acceptable returns what is wrong with a status.
func acceptable(status int) error {
	switch {
	case status < 100:
		return &Error{Kind: Malformed, Err: errors.New("status below 100")}
	case status == http.StatusSwitchingProtocols:
		return &Error{Kind: Malformed, Err: errors.New("upstream switched protocols")}
	}
	return nil
}

// withoutQuotes is what net/http says is wrong, without what the upstream said:
// that may be an answer's content, which is not for logs.
func withoutQuotes(s string) string {
	s = strings.TrimPrefix(strings.TrimPrefix(s, "net/"), "http: ")
	if i := strings.IndexAny(s, `":[`); i > 0 {
		s = s[:i]
	}
	return strings.TrimRight(s, " ;,")
}
