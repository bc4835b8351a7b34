// Package buffer lends memory that is used again. What enters is nothing but a
// wish for memory; what a Buffer holds is its borrower's until Put.
package buffer

import (
	"errors"
	"io"
	"sync"
)

// A Buffer is lent by Get. B may be appended to and replaced.
type Buffer struct {
	B     []byte
	meter Meter
	told  int // to the meter
}

// A Meter is asked before a buffer takes memory, in bytes, and told when it has
// let go of it.
type Meter interface {
	// Hold reports whether there are n bytes more.
	Hold(n int) bool
	// LetGo gives n bytes back.
	LetGo(n int)
}

// Buffers are kept for others in two sizes, so that who holds a little does not
// hold much: up to Small bytes, and up to Kept; larger ones go to the garbage
// collector.
const (
	Small = 64 << 10
	Kept  = 1 << 20
)

const start = 4 << 10

var (
	small = sync.Pool{New: func() any { return &Buffer{B: make([]byte, 0, start)} }}
	large sync.Pool
)

// Get lends an empty buffer. It is given back by Put, or left to the garbage
// collector.
func Get() *Buffer { return small.Get().(*Buffer) }

// Metered lends an empty buffer whose memory m is asked for and told of. When m has
// none it is a buffer that cannot grow.
func Metered(m Meter) *Buffer {
	b := Get()
	if b.meter = m; !b.Measure() {
		b.B = make([]byte, 0, start)
		b.Measure()
	}
	return b
}

// Put gives b back, which may be nil. Nothing of it may be used after that.
func (b *Buffer) Put() {
	if b == nil {
		return
	}
	if b.meter != nil {
		b.meter.LetGo(b.told)
		b.meter, b.told = nil, 0
	}
	pool := &small
	switch n := cap(b.B); {
	case n > Kept:
		return
	case n > Small:
		pool = &large
	}
	b.B = b.B[:0]
	pool.Put(b)
}

// Grow makes room for n more bytes. It returns false when the meter has none.
func (b *Buffer) Grow(n int) bool {
	if cap(b.B)-len(b.B) >= n {
		return true
	}
	return b.resize(max(2*cap(b.B), len(b.B)+n))
}

// minRead is the least that is read at once.
const minRead = 512

// resize moves b to memory of at least size bytes.
func (b *Buffer) resize(size int) bool {
	var next []byte
	if size > Small && size <= Kept {
		if other, ok := large.Get().(*Buffer); ok && cap(other.B) >= size {
			next, size = other.B, cap(other.B)
		}
	}
	if b.meter != nil && !b.meter.Hold(size) { // both are there while one is copied
		return false
	}
	if next == nil {
		next = make([]byte, 0, size)
	}
	b.B = append(next, b.B...)
	if b.meter != nil {
		b.meter.LetGo(b.told)
		b.told = size
	}
	return true
}

// Measure tells the meter what B takes that was appended to or replaced. It
// returns false when that is more than there is.
func (b *Buffer) Measure() bool {
	size := cap(b.B)
	switch {
	case b.meter == nil || size == b.told:
		return true
	case size < b.told:
		b.meter.LetGo(b.told - size)
	case !b.meter.Hold(size - b.told):
		return false
	}
	b.told = size
	return true
}

// Errors of ReadAll.
var (
	ErrTooLarge = errors.New("body is over the limit")
	ErrNoRoom   = errors.New("there is no memory for the body")
)

// ReadAll appends r to its end, or to its error. More than limit bytes in b are
// ErrTooLarge.
func (b *Buffer) ReadAll(r io.Reader, limit int64) error {
	for {
		if free := cap(b.B) - len(b.B); free < minRead && !b.resize(max(min(2*cap(b.B), int(limit)+minRead), len(b.B)+minRead)) {
			return ErrNoRoom
		}
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
