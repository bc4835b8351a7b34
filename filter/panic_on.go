//go:build antwort_panic

package filter

import (
	"strconv"
	"strings"
)

// forced panics where the request's header x-panic-in says: "PLACE", or "PLACE N"
// when the request comes there for the Nth time. It is in builds for tests only.
type forced struct {
	place string
	left  int
}

func (f *forced) note(h header) {
	place, times, _ := strings.Cut(h.get("x-panic-in"), " ")
	f.place = place
	f.left, _ = strconv.Atoi(times)
}

func (f *forced) at(place string) {
	if f.place != place {
		return
	}
	if f.left--; f.left <= 0 {
		f.place = ""
		panic("forced in " + place)
	}
}
