package server

import "sync"

// buffer is memory that is used again. What it holds is valid until put.
type buffer struct{ b []byte }

const (
	bufferStart = 4 << 10
	bufferKept  = 1 << 20 // larger ones go to the garbage collector
)

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, bufferStart)} }}

func getBuffer() *buffer { return buffers.Get().(*buffer) }

func (b *buffer) put() {
	if b != nil && cap(b.b) <= bufferKept {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}

// grow makes room for n more bytes.
func (b *buffer) grow(n int) {
	if cap(b.b)-len(b.b) < n {
		b.b = append(make([]byte, 0, max(2*cap(b.b), len(b.b)+n)), b.b...)
	}
}
