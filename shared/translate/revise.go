package translate

import "antwort/shared/responses"

// What an answer says of its being stored is known last, when it has ended and
// nobody has seen its end.

// Instead replaces the terminal events that Write or End has just appended to dst:
// by those of a failure, or, without one, by themselves of an answer that is not
// stored.
func (s *Stream) Instead(dst []byte, failed *responses.Error) []byte {
	state := &s.turn.state
	if failed != nil {
		*state = responses.State{Status: "failed", Err: failed, Output: state.Output, Apart: state.Apart, Usage: state.Usage}
	}
	s.turn.resource.NotStored()
	s.out.Rewind(s.seq)
	return s.end(dst[:s.ending])
}

// Left appends the resource of an answer whose client has left, with what there is
// of it. The stream is done then.
func (s *Stream) Left(dst []byte) []byte {
	s.done, s.out.Quiet = true, true
	s.out.Abandon(nil)
	s.turn.state = responses.State{Status: "cancelled", Usage: s.turn.Usage()}
	s.turn.state.Output, s.turn.state.Apart = s.out.Items()
	return s.turn.append(dst)
}

// NotStored says that the answer, which is appended anew, is not stored.
func (u *Turn) NotStored() { u.resource.NotStored() }

// Unstored appends the resource of a whole answer again, of one that is not stored.
func (u *Turn) Unstored(dst []byte) []byte {
	u.resource.NotStored()
	return u.append(dst)
}

// Prepare appends the events of a turn in which nothing is to be said: it is to be ready
// to be continued. The stream is done then.
func (s *Stream) Prepare(dst []byte, now int64) []byte {
	dst = s.Start(dst)
	s.turn.state = responses.State{Status: "completed", CompletedAt: now, Usage: new(responses.Usage)}
	return s.end(dst)
}
