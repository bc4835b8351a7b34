package websocket

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"antwort/server/buffer"
	"antwort/server/ingress"
)

// Sink is the way to the client for one turn: each event becomes a message. Signs of
// life need none: the connection has its own.
type Sink struct {
	c      *Conn
	lane   []byte // what each message ends with: the stream_id and the closing brace; nil: as it is
	failed []byte // what a whole error begins with; nil: events come
}

var _ ingress.Sink = (*Sink)(nil)

func newSink(c *Conn, laneText []byte) *Sink {
	s := &Sink{c: c}
	if laneText != nil {
		s.lane = append(append([]byte(`,"stream_id":"`), laneText...), `"}`...)
	}
	return s
}

// Begin takes the status, which only errors tell.
func (s *Sink) Begin(status int, _ http.Header) {
	if status >= http.StatusBadRequest {
		s.failed = append(strconv.AppendInt([]byte(`{"type":"error","status":`), int64(status), 10), ',')
	}
}

// Write sends the events of a stream, or the body of an error.
func (s *Sink) Write(buf []byte, _ bool) ([]byte, error) {
	p := buf[ingress.Room:]
	if s.failed != nil {
		return buf, s.send(append(s.failed, p[1:]...))
	}
	for len(p) > 0 {
		event, rest, whole := bytes.Cut(p, eventEnd)
		if !whole {
			break
		}
		p = rest
		at := bytes.Index(event, dataField)
		if at < 0 || at > 0 && event[at-1] != '\n' {
			continue // a comment
		}
		if data := event[at+len(dataField):]; len(data) > 0 && data[0] == '{' {
			if err := s.send(data); err != nil {
				return buf, err
			}
		}
	}
	return buf, nil
}

var eventEnd, dataField = []byte("\n\n"), []byte("data: ")

// send sends an object.
func (s *Sink) send(object []byte) error {
	if s.lane == nil {
		return s.c.send(object)
	}
	out := buffer.Get()
	defer out.Put()
	out.B = append(append(out.B, object[:len(object)-1]...), s.lane...)
	return s.c.send(out.B)
}

// Limit makes a write fail that waits beyond t.
func (s *Sink) Limit(t time.Time) { _ = s.c.raw.SetWriteDeadline(t) }

// Break closes the connection: what the client got is no whole answer.
func (s *Sink) Break() { s.c.leave() }

// Dismiss ends the connection, after the turn, of a caller who is not let in any more.
func (s *Sink) Dismiss() { s.c.End(Violation, dismissed, nil) }
