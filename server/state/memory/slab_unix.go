//go:build unix

package memory

import "syscall"

// newSlab takes a slab outside of Go's heap.
func newSlab() []byte {
	slab, err := syscall.Mmap(-1, 0, slabSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		panic("out of memory for what is kept: " + err.Error())
	}
	return slab
}

func freeSlab(slab []byte) error { return syscall.Munmap(slab) }
