package filter

import "antwort/shared/jsontext"

// body gathers a message's body in the VM's memory, chunk by chunk.
type body struct {
	*buffers
	length int64 // by content-length, -1 when not known
	most   int   // bytes of any body, 0: no limit is known
	buf    []byte
	check  jsontext.Checker // of what is in buf
	passed int              // of it, before the last chunk
}

// add takes the next chunk. When the body is whole it returns all of it, valid
// until the next call or free. It is whole by the end of the stream, its
// length, or the end of its JSON document: with HTTP trailers the end of the
// stream comes too late to send a body (the trailers callback cannot).
func (b *body) add(chunk []byte, end bool) (all []byte, whole bool) {
	if b.atOnce(len(chunk), end) {
		return chunk, true
	}
	b.grow(len(chunk))
	b.passed = len(b.buf)
	b.buf = append(b.buf, chunk...)
	b.check.Write(chunk)
	switch {
	case end, int64(len(b.buf)) == b.length:
		return b.buf, true
	case b.length < 0:
		return b.buf, b.check.Complete()
	}
	return nil, false
}

// isWrong reports whether what has been kept is not, or cannot become, a document.
func (b *body) isWrong(whole bool) bool {
	return b.check.Wrong() || whole && len(b.buf) > 0 && !b.check.Valid()
}

// atOnce reports whether a chunk is all of the body, the usual small one: it is
// not copied, and not checked.
func (b *body) atOnce(n int, end bool) bool { return len(b.buf) == 0 && (end || int64(n) == b.length) }

// room is how much memory the body will take with a chunk of n bytes more: twice
// as much whenever there is not enough, but not more than has been announced. Only a
// short body that is announced is believed before it has come.
func (b *body) room(n int) int {
	need := len(b.buf) + n
	if need <= cap(b.buf) {
		return cap(b.buf)
	}
	if b.length >= int64(need) && b.length <= believedBytes {
		return int(b.length)
	}
	room := max(need, 2*cap(b.buf))
	if b.length >= int64(need) {
		room = min(room, int(b.length))
	}
	if b.most >= need {
		room = min(room, b.most)
	}
	return room
}

// believedBytes is the longest body that gets all of its room with its first bytes.
const believedBytes = 128 << 10

func (b *body) grow(n int) {
	room := b.room(n)
	if room == cap(b.buf) {
		return
	}
	fresh := append(b.take(room), b.buf...)
	b.free()
	b.buf = fresh
}

func (b *body) free() {
	if b.buf != nil {
		b.give(b.buf)
		b.buf = nil
	}
}
