package jsontext

import (
	"strings"
	"unsafe"
)

// Grow is slices.Grow for what may be long: it makes just the room, and clears none of it,
// which takes a good part of the time that it takes to fill it.
//
//go:noinline
func Grow(b []byte, n int) []byte {
	if n <= cap(b)-len(b) {
		return b
	}
	var room strings.Builder // which is where Go lets one have such memory
	room.Grow(len(b) + n)
	room.Write(b)
	room.WriteByte(0) // so that it has an address; n is 1 at least here
	text := room.String()
	return unsafe.Slice(unsafe.StringData(text), len(b)+n)[:len(b)] // #nosec G103 -- nobody else has the room
}

// GrowTwice is Grow for what more will be appended to: it makes twice the room that there is
// where that is more. append makes a quarter more of what is long, and copies it five times;
// so a little is left for what is short behind it.
func GrowTwice(b []byte, n int) []byte {
	if n <= cap(b)-len(b) {
		return b
	}
	return Grow(b, max(n+n/16, len(b)))
}
