package filter

// vm is what the plugins of one VM share.
type vm struct {
	hop    string // its mark in requests that go on
	memory memory
	ledger ledger
	turns  turns
	buffers
	asked    header // the fields of the request whose header came last
	answered header // and those of the answer
	out      []byte // what a callback writes to the host; not kept beyond it
	clock    clock
}

// written keeps out, which began as v.out[:0], for the next callback.
func (v *vm) written(out []byte) {
	if cap(out) > cap(v.out) && cap(out) <= keptBytes {
		v.out = out[:0]
	}
}
