package translate

// Held returns how many bytes the turn keeps of its request, for the answer
// repeats it.
func (u *Turn) Held() int { return u.resource.Held() }

// Held returns how many bytes of the answer the stream holds.
func (s *Stream) Held() int { return s.out.Held() + len(s.framer.Rest()) + s.answer.held() }

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
