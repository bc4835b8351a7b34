package translate

// Held returns how many bytes the turn keeps of its request, for the answer
// repeats it.
func (u *Turn) Held() int { return u.resource.Held() }

// Held returns how many bytes of the answer the stream holds.
func (s *Stream) Held() int { return s.out.Held() + len(s.framer.Rest()) + s.answer.held() }

// Speaks reports whether the answer's first item has begun.
func (s *Stream) Speaks() bool { return s.out.Count() > 0 }
