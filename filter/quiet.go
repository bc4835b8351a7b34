package filter

import "runtime/debug"

// quietBytes is from which size on a text is translated without the garbage collector.
const quietBytes = 64 << 10

// quiet stops the garbage collector for the translation of a text of the given size, until
// what it returns is called; defer that, or a panic leaves it stopped. A collection in the
// middle of a translation goes through its parse tree, which takes as long as the rest; behind
// it the tree is not looked at. The memory limit holds all the same.
func (m *memory) quiet(size int) (loud func()) {
	if size < quietBytes {
		return func() {}
	}
	m.ground.free()
	before := debug.SetGCPercent(-1)
	return func() { debug.SetGCPercent(before) }
}
