//go:build !unix

package memory

func newSlab() []byte { return make([]byte, slabSize) }

func freeSlab([]byte) error { return nil }
