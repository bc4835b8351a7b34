package filtertest

// A Split decides where a body is cut into the chunks that a filter sees. It
// is given the offset of the next chunk from the body's start and returns the
// chunk's size in bytes; 0 or less stands for "what is there". The host waits
// until that many bytes have come, the body has ended, or the upstream handler
// has flushed.
type Split func(offset int64) int

// Every cuts a body into chunks of n bytes; the last may be shorter.
func Every(n int) Split { return func(int64) int { return n } }

// At cuts a body at the offsets, which ascend; what follows the last of them
// comes as it arrives.
func At(offsets ...int64) Split {
	return func(offset int64) int {
		for _, o := range offsets {
			if o > offset {
				return int(o - offset)
			}
		}
		return 0
	}
}

// chunker cuts a body by a Split. emit is called for every chunk, in order,
// and with end true exactly once.
type chunker struct {
	split       Split
	endWithData bool // the end comes with the last bytes, not in an empty chunk after them
	emit        func(p []byte, end bool)

	offset  int64
	pending []byte // not yet a whole chunk
	last    []byte // a whole chunk that is kept back, as the end may follow; endWithData only
}

func (c *chunker) write(p []byte) {
	c.pending = append(c.pending, p...)
	for len(c.pending) > 0 {
		n := 0
		if c.split != nil {
			n = c.split(c.offset)
		}
		if n <= 0 {
			n = len(c.pending)
		}
		if n > len(c.pending) {
			return
		}
		c.cut(n)
	}
}

// cut makes a chunk of the first n pending bytes.
func (c *chunker) cut(n int) {
	p := c.pending[:n:n]
	c.pending = c.pending[n:]
	c.offset += int64(n)
	if !c.endWithData {
		c.emit(p, false)
		return
	}
	if c.last != nil {
		c.emit(c.last, false)
	}
	c.last = p
}

// flush emits all that was written.
func (c *chunker) flush() {
	if len(c.pending) > 0 {
		c.cut(len(c.pending))
	}
	if c.last != nil {
		last := c.last
		c.last = nil
		c.emit(last, false)
	}
}

// end emits what is left and the end of the stream.
func (c *chunker) end() {
	if len(c.pending) > 0 {
		c.cut(len(c.pending))
	}
	last := c.last
	c.last = nil
	c.emit(last, true)
}
