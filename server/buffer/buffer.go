// Package buffer lends memory that is used again. What enters is nothing but a
// wish for memory; what a Buffer holds is its borrower's until Put.
package buffer

import "sync"

// A Buffer is lent by Get. B may be appended to and replaced.
type Buffer struct{ B []byte }

// Kept is the largest buffer that is kept for others, in bytes; larger ones go to
// the garbage collector.
const Kept = 1 << 20

const start = 4 << 10

var buffers = sync.Pool{New: func() any { return &Buffer{B: make([]byte, 0, start)} }}

// Get lends an empty buffer. It is given back by Put, or left to the garbage
// collector.
func Get() *Buffer { return buffers.Get().(*Buffer) }

// Put gives b back, which may be nil. Nothing of it may be used after that.
func (b *Buffer) Put() {
	if b != nil && cap(b.B) <= Kept {
		b.B = b.B[:0]
		buffers.Put(b)
	}
}

// Grow makes room for n more bytes.
func (b *Buffer) Grow(n int) {
	if cap(b.B)-len(b.B) < n {
		b.B = append(make([]byte, 0, max(2*cap(b.B), len(b.B)+n)), b.B...)
	}
}
