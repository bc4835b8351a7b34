//go:build antwort_panic

package filter

import (
	"strconv"
	"strings"
	"unsafe"
)

// forced panics where the request's header x-panic-in says: "PLACE", or "PLACE N"
// when the request comes there for the Nth time. With "trap" behind it the VM
// dies instead, as by what cannot be recovered. It is in builds for tests only.
type forced struct {
	place string
	left  int
	trap  bool
}

func (f *forced) note(h header) {
	words := append(strings.Fields(h.get("x-panic-in")), "", "", "")
	f.place, f.trap = words[0], words[2] == "trap"
	f.left, _ = strconv.Atoi(words[1])
}

func (f *forced) at(place string) {
	if f.place != place {
		return
	}
	if f.left--; f.left > 0 {
		return
	}
	if f.trap {
		f.left += int(*(*byte)(unsafe.Add(unsafe.Pointer(f), 1<<31))) // is not in the memory
	}
	f.place = ""
	panic("forced in " + place)
}
