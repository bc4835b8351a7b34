package translate

// Held returns how many bytes of the answer the stream holds; 0 until its
// first item has begun.
func (s *Stream) Held() int {
	if s.out.Count() == 0 {
		return 0
	}
	return s.out.Held() + len(s.framer.Rest())
}
