package memory

// blockSize is the size of a block: small, as the last one of a content is half
// empty.
const blockSize = 512

// slabSize is how much is taken of the system at a time.
const slabSize = 1 << 20

const perSlab = slabSize / blockSize

// blocks are the memory that contents lie in. Whatever was freed is used again,
// wherever it is: nothing is ever moved, and no hole is too small.
type blocks struct {
	slabs  [][]byte
	unused []uint32
}

// blocksFor is how many blocks a content needs.
func blocksFor(content int) int { return (content + blockSize - 1) / blockSize }

func (b *blocks) block(i uint32) []byte {
	at := int(i%perSlab) * blockSize
	return b.slabs[i/perSlab][at : at+blockSize]
}

// write puts the pieces into blocks, one after the other.
func (b *blocks) write(pieces ...[]byte) []uint32 {
	n := 0
	for _, p := range pieces {
		n += len(p)
	}
	at := make([]uint32, blocksFor(n))
	for i := range at {
		at[i] = b.take()
	}
	n = 0
	for _, p := range pieces {
		for len(p) > 0 {
			done := copy(b.block(at[n/blockSize])[n%blockSize:], p)
			p, n = p[done:], n+done
		}
	}
	return at
}

// read copies the first n bytes of what was written to the blocks.
func (b *blocks) read(at []uint32, n int) []byte {
	content := make([]byte, 0, n)
	for _, i := range at[:blocksFor(n)] {
		content = append(content, b.block(i)[:min(blockSize, n-len(content))]...)
	}
	return content
}

// take returns a block that nobody uses.
func (b *blocks) take() uint32 {
	if len(b.unused) == 0 {
		first := uint32(len(b.slabs)) * perSlab //nolint:gosec // 2 TiB are far
		b.slabs = append(b.slabs, newSlab())
		for i := uint32(perSlab); i > 0; i-- {
			b.unused = append(b.unused, first+i-1)
		}
	}
	last := len(b.unused) - 1
	i := b.unused[last]
	b.unused = b.unused[:last]
	return i
}

func (b *blocks) free(at []uint32) { b.unused = append(b.unused, at...) }

// close gives all memory back.
func (b *blocks) close() error {
	var first error
	for _, slab := range b.slabs {
		if err := freeSlab(slab); err != nil && first == nil {
			first = err
		}
	}
	b.slabs, b.unused = nil, nil
	return first
}
