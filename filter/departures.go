package filter

import "time"

// departures are the long bodies that have been given to Envoy and are, likely, not
// with the upstream yet: Envoy holds them, and nobody says when it does no more.
// They count until the answer begins, or for as long as an upstream may need that reads
// slowly: a second, and one more for each 16 MiB.
type departures map[*exchange]instant // when they count no more

const (
	departureTime  = time.Second
	departurePace  = 16 << 20 // bytes in departureTime
	departureBytes = 1 << 20  // shorter bodies do not count
)

// check lets those go that have had their time.
func (d departures) check(now instant) {
	for x, until := range d {
		if now >= until {
			x.departed()
		}
	}
}

// departs notes that n bytes are on their way upstream.
func (x *exchange) departs(n int) {
	if n < departureBytes {
		return
	}
	if x.departures == nil {
		x.departures = make(departures)
	}
	x.departures[x] = x.clock.now() + instant(departureTime+departureTime*time.Duration(n)/departurePace)
	x.setHeld(x.holding.bytes + n)
	x.leaving = n
}

// stays notes that Envoy holds n bytes until the request has ended: they count until then,
// and it has no more time than an upload.
func (x *exchange) stays(n int) {
	x.setHeld(x.holding.bytes + n)
	x.leaving = n
	x.uploading()
}

// left notes that a request has ended: what stayed departs.
func (x *exchange) left() {
	if x.leaving == 0 {
		return
	}
	if _, stayed := x.uploads[x]; stayed {
		n := x.leaving
		x.uploaded()
		x.departed()
		x.departs(n)
	}
}

// departed notes that they have arrived.
func (x *exchange) departed() {
	if x.leaving == 0 {
		return
	}
	delete(x.departures, x)
	n := x.leaving
	x.leaving = 0
	x.setHeld(x.holding.bytes - n)
}
