package streaming

import (
	"antwort/server/buffer"
	"antwort/shared/failure"
	"antwort/shared/responses"
)

// Keeper stores how an answer ended.
type Keeper interface {
	// Keep may take long. When it is not kept the answer must say so; with failed it
	// must not be given.
	Keep(o responses.Outcome) (kept bool, failed *responses.Error)
}

// revised are events whose end can be told in another way, as long as nobody has seen
// it.
type revised interface {
	// Instead replaces the terminal events, the last of dst.
	Instead(dst []byte, failed *responses.Error) []byte
	// Left appends the resource of an answer whose client has left.
	Left(dst []byte) []byte
	Started() bool
	Done() bool
}

// ended has the end stored before the client is told of it, which stands in out. The
// client gets signs of life meanwhile. mu is held before and after.
func (s *Stream) ended(out *buffer.Buffer) {
	keeper := s.kind.keeper()
	events, can := s.events.(revised)
	if keeper == nil || !can {
		return
	}
	kept, failed := s.keepEnd(keeper, s.events.Outcome())
	if failed != nil {
		s.rec.Fail(failure.StateUnavailable, nil)
	}
	if !kept {
		out.B = events.Instead(out.B, failed)
	}
}

// keepEnd lets go of mu while it waits.
func (s *Stream) keepEnd(keeper Keeper, o responses.Outcome) (kept bool, failed *responses.Error) {
	s.keeping = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.keeping = false
	}()
	return keeper.Keep(o)
}

// left has an answer stored whose client has left, as far as it came. There is nobody
// to be told whether it was.
func (s *Stream) left() {
	keeper := s.kind.keeper()
	events, can := s.events.(revised)
	if keeper == nil || !can || s.phase.at != broken || !events.Started() || events.Done() {
		return
	}
	events.Left(nil)
	_, _ = keeper.Keep(s.events.Outcome())
}
