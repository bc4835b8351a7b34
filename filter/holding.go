package filter

import (
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// holding is what an exchange holds.
type holding struct {
	bytes  int
	caller string // whose share it counts for, "": nobody's
	shared int    // bytes that do
}

// holdRequest says how many bytes the exchange's request holds now. It is false
// when that is more than there is for it.
func (x *exchange) holdRequest(bytes int) bool {
	bound := x.cfg.Limits.InFlight(true)
	grows := bytes > x.holding.bytes
	x.setHeld(bytes)
	ok := x.share(bytes, bound)
	return ok && (!grows || x.memory.admits(0, bound))
}

// share charges the caller for a request that holds much.
func (x *exchange) share(bytes int, bound int64) bool {
	h := &x.holding
	if bytes <= muchBytes {
		bytes = 0
	}
	if bytes == h.shared {
		return true
	}
	if h.caller == "" {
		h.caller = x.whoCalls()
	}
	more := int64(bytes - h.shared)
	h.shared = bytes
	return x.memory.charge(h.caller, int64(bytes), more, bound)
}

// whoCalls names the caller: as who was identified, else by the address that the
// host has for the connection.
func (x *exchange) whoCalls() string {
	if x.caller != nil {
		return "caller " + x.caller.Subject
	}
	address, err := proxywasm.GetProperty([]string{"source", "address"})
	if err != nil {
		return "unknown"
	}
	host := string(address)
	return host[:max(strings.LastIndexByte(host, ':'), 0)] // without the port
}

// accept notes that the request has gone on, and keeps so many bytes for its
// answer. It is false when there is no room for another exchange.
func (x *exchange) accept(kept int) bool {
	bound := x.cfg.Limits.InFlight(true)
	before := x.holding.bytes
	x.share(0, bound)
	x.aside = setAside(bound)
	x.setHeld(max(kept, x.aside))
	return x.holding.bytes <= before || x.memory.admits(0, bound)
}

// holdAnswer says how many bytes the exchange holds now that it has been
// accepted. It is false when all of the bound is taken and the exchange holds
// more than was set aside for it.
func (x *exchange) holdAnswer(bytes int) bool {
	bytes = max(bytes, x.aside) + x.leaving
	if bytes == x.holding.bytes {
		return true
	}
	grows := bytes > x.holding.bytes
	x.setHeld(bytes)
	return !grows || x.memory.held <= x.cfg.Limits.InFlight(true)
}

// letGo ends all holding.
func (x *exchange) letGo() {
	x.departed()
	x.share(0, 0)
	x.aside = 0
	x.setHeld(0)
}

func (x *exchange) setHeld(bytes int) {
	x.memory.held += int64(bytes - x.holding.bytes)
	x.holding.bytes = bytes
	if bytes > 0 {
		x.wake()
	}
}
