package filter

import "antwort/shared/jsontext"

// buffers are those that nobody uses, for reuse.
type buffers struct{ spare [][]byte }

// take returns an empty buffer with room for n bytes, used before if possible.
func (f *buffers) take(n int) []byte {
	if last := len(f.spare) - 1; last >= 0 {
		buf := f.spare[last]
		f.spare[last] = nil
		f.spare = f.spare[:last]
		if cap(buf) >= n {
			return buf
		}
	}
	return jsontext.Grow(nil, max(n, 4<<10))
}

// Buffers that are kept: large ones go to the garbage collector.
const (
	keptBuffers = 16
	keptBytes   = 256 << 10
)

// give ends the use of a buffer.
func (f *buffers) give(buf []byte) {
	if cap(buf) > 0 && cap(buf) <= keptBytes && len(f.spare) < keptBuffers {
		f.spare = append(f.spare, buf[:0])
	}
}
