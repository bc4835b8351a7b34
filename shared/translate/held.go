package translate

import "antwort/shared/responses"

// Held returns how many bytes the turn keeps of its request, for the answer
// repeats it.
func (u *Turn) Held() int { return u.resource.Held() }

// Held returns how many bytes of the answer the stream holds.
func (s *Stream) Held() int {
	return s.out.Held() + len(s.framer.Rest()) + s.answer.held() + s.waiting
}

// Ending returns about how many bytes it takes to end the stream, beside what it
// holds: what waits is read again, and a whole answer becomes events at once.
func (s *Stream) Ending() int { return s.out.Ending() + 2*s.waiting + 5*s.answer.held() }

// Said returns how many bytes the answer has so far.
func (s *Stream) Said() int { return s.out.Said() }

// Drain has take called with what was appended so far whenever much is to be
// appended; it returns what to append to. The end of a long answer then lacks its
// items (see Apart).
func (s *Stream) Drain(take func(dst []byte) []byte) { s.out.Drain(take) }

// Apart returns the items that the terminal events lack, in pieces, and where they go
// in what Write, End or Instead appended to.
func (s *Stream) Apart() (at int, items responses.Pieces) { return s.apart, s.turn.outcome.Apart }

// Forget frees what the turn repeats of its request, and what its answer has said. The
// stream can only fail after it.
func (u *Turn) Forget() {
	u.resource.Forget(u.model)
	u.out.Forget()
	s := &u.stream
	s.framer.Drop()
	s.queue, s.waiting, s.answer, s.finish = nil, 0, wholeAnswer{}, ""
}

// Speaks reports whether the answer's first item has begun.
func (s *Stream) Speaks() bool { return s.out.Count() > 0 }
