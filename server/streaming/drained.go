package streaming

import (
	"slices"

	"antwort/server/buffer"
	"antwort/server/ingress"
	"antwort/shared/responses"
)

// drained are events that need not be in memory all at once when they are long.
type drained interface {
	// Drain has take called with what was appended so far; it returns what to append to.
	Drain(take func(dst []byte) []byte)
	// Apart returns items that the terminal event lacks, in pieces, and where they go in
	// what was appended.
	Apart() (at int, items responses.Pieces)
}

// beginEvents begins the events of an answer.
func (s *Stream) beginEvents() {
	s.events = s.kind.events()
	if events, can := s.events.(drained); can && !s.whole {
		events.Drain(s.drain)
	}
}

// drain sends what there is of long events. mu is held.
func (s *Stream) drain(dst []byte) []byte {
	out := buffer.Buffer{B: dst}
	if !s.phase.over() {
		s.see(dst)
		s.write(&out, false)
	}
	return out.B[:ingress.Room]
}

// apart sends the last of out up to the end of the items that it lacks, if any, and
// leaves the rest in it. It reports whether somebody is there to read that.
func (s *Stream) apart(out *buffer.Buffer) bool {
	events, can := s.events.(drained)
	if !can || s.whole {
		return true
	}
	at, items := events.Apart()
	if len(items) == 0 {
		return true
	}
	rest := slices.Clone(out.B[at:])
	out.B = out.B[:at]
	for _, piece := range items {
		s.write(out, false)
		if s.phase.over() {
			return false
		}
		out.B = append(out.B[:ingress.Room], piece...)
	}
	out.B = append(out.B, rest...)
	return true
}
