package filter

// body gathers a message's body in the VM's memory, chunk by chunk.
type body struct {
	*buffers
	length int64 // by content-length, -1 when not known
	buf    []byte
	end    document
}

// add takes the next chunk. When the body is whole it returns all of it, valid
// until the next call or free. It is whole by the end of the stream, its
// length, or the end of its JSON document.
func (b *body) add(chunk []byte, end bool) (all []byte, whole bool) {
	if len(b.buf) == 0 && (end || int64(len(chunk)) == b.length) {
		return chunk, true // the usual small one: not copied
	}
	if b.buf == nil {
		b.buf = b.take(max(len(chunk), int(min(b.length, maxReserve))))
	}
	b.buf = append(b.buf, chunk...)
	switch {
	case end, int64(len(b.buf)) == b.length:
		return b.buf, true
	case b.length < 0:
		return b.buf, b.end.ended(b.buf)
	}
	return nil, false
}

// maxReserve is as much room as a content-length gets before its bytes have
// come.
const maxReserve = 1 << 20

// held is the memory that the body takes.
func (b *body) held() int { return cap(b.buf) }

func (b *body) free() {
	if b.buf != nil {
		b.give(b.buf)
		b.buf = nil
	}
}
