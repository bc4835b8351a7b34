package filter

import (
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// holding is what an exchange holds.
type holding struct {
	bytes int
	charge
	dropped bool // others needed it: the exchange can only fail
}

// holdRequest says how many bytes the exchange's request holds now. It is false
// when that is more than there is for it.
func (x *exchange) holdRequest(bytes int) bool {
	bound := x.cfg.Limits.InFlight(true)
	grows, much := bytes > x.holding.bytes, bytes
	x.setHeld(bytes)
	if bytes <= muchBytes {
		much = 0
	}
	x.share(much)
	return !grows || x.memory.admits(0, bound) && x.memory.sharesWell(&x.holding.charge, bound)
}

// share charges the caller for so many of the bytes that are held.
func (x *exchange) share(bytes int) {
	c := &x.holding.charge
	if int64(bytes) == c.bytes {
		return
	}
	x.countsFor()
	x.memory.charge(c, int64(bytes))
}

// countsFor finds out for whom what the exchange holds counts, and how it is dropped.
func (x *exchange) countsFor() {
	if c := &x.holding.charge; c.caller == "" {
		c.caller, c.drop = x.whoCalls(), x.drop
	}
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
// answer. It is false when there is no room for another exchange, or the caller has
// more than its share.
func (x *exchange) accept(kept int) bool {
	bound := x.cfg.Limits.InFlight(true)
	before := x.holding.bytes
	x.aside = setAside(bound)
	x.holding.accepted = true
	x.share(max(kept-x.aside, 0))
	x.setHeld(max(kept, x.aside))
	if x.memory.held > bound/callersShare {
		x.countsFor()
		if !x.memory.sharesWell(&x.holding.charge, bound) {
			return false
		}
	}
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

// holdText is holdAnswer for an answer that counts for its caller: when all of the
// bound is taken, who holds most ends. It is false when that is this exchange.
func (x *exchange) holdText(bytes int) bool {
	beyond := max(bytes-x.aside, 0)
	if held := max(bytes, x.aside) + x.leaving; held == x.holding.bytes && int64(beyond) == x.holding.charge.bytes {
		return true // as before
	}
	x.share(beyond)
	if x.holdAnswer(bytes) {
		return true
	}
	for bound := x.cfg.Limits.InFlight(true); x.memory.held > bound; {
		most := x.memory.most()
		if most == nil || most == &x.holding.charge {
			return false
		}
		most.drop()
	}
	return true
}

// drop lets go of what the exchange holds, for others. With the next bytes of its
// request or its answer it fails.
func (x *exchange) drop() {
	x.holding.dropped = true
	x.share(0)
	x.setHeld(max(x.handler.drop(), x.aside) + x.leaving)
}

// letGo ends all holding.
func (x *exchange) letGo() {
	x.departed()
	x.share(0)
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
