package filter

import "time"

// departures are the long bodies that have been given to Envoy and are, likely, not
// with the upstream yet: Envoy holds them, and nobody says when it does no more.
// They count for a second, or until the answer begins.
type departures map[*exchange]instant

const (
	departureTime  = time.Second
	departureBytes = 1 << 20 // shorter bodies do not count
)

// check lets those go that have had their time.
func (d departures) check(now instant) {
	for x, since := range d {
		if now.since(since) >= departureTime {
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
	x.departures[x] = x.clock.now()
	x.setHeld(x.holding.bytes + n)
	x.leaving = n
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
