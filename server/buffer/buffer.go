// Package buffer lends memory that is used again. What enters is nothing but a
// wish for memory; what a Buffer holds is its borrower's until Put.
package buffer

import (
	"errors"
	"io"
	"sync"
)

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

// ErrTooLarge is the error of ReadAll for more than fits the limit.
var ErrTooLarge = errors.New("body is over the limit")

// ReadAll appends r to its end, or to its error. More than limit bytes in b are
// ErrTooLarge.
func (b *Buffer) ReadAll(r io.Reader, limit int64) error {
	for {
		b.Grow(512)
		n, err := r.Read(b.B[len(b.B):cap(b.B)])
		b.B = b.B[:len(b.B)+n]
		switch {
		case int64(len(b.B)) > limit:
			return ErrTooLarge
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}
