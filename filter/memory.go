package filter

import (
	"runtime/debug"

	"antwort/shared/config"
)

// memory counts what the exchanges of a VM hold, in bytes: memory of a VM never
// shrinks, and running out of it ends the VM with all of its streams. So what is
// held is bounded, and who has been let in does not pay for who comes later:
// requests may take three quarters of the bound, and answers the rest too. When
// all of it is taken, who holds most pays.
type memory struct {
	held    int64
	budget  int64            // the largest of the VM's plugins
	callers map[string]int64 // of these bytes, those of exchanges that hold much
	charges []*charge        // what each of these holds
	ground  ground
}

// charge is what an exchange holds that counts for its caller: of a request that is
// coming all of it when that is much, and then what is beyond the bytes set aside.
type charge struct {
	caller   string
	bytes    int64
	place    int  // among the charges
	accepted bool // the request has gone on
	drop     func()
}

// Shares of the bound.
const (
	requestsShare = 4 // all requests: all but the 4th part
	callersShare  = 2 // one caller, before more of its requests come: half
)

// admits reports whether requests may hold n bytes more.
func (m *memory) admits(n, bound int64) bool { return m.held+n <= bound-bound/requestsShare }

// setAside is what an exchange is charged from its request's acceptance on,
// whether it holds as much or not: what most answers need. A bound that is small
// sets less aside.
func setAside(bound int64) int { return int(min(32<<10, bound/1024)) }

// muchBytes is how much a request holds before it counts for its caller: to find
// out who calls costs a call of the host.
const muchBytes = 32 << 10

// charge notes that an exchange holds so many bytes now that count for its caller, other
// than before.
func (m *memory) charge(c *charge, bytes int64) {
	if m.callers == nil {
		m.callers = make(map[string]int64)
	}
	switch last := len(m.charges) - 1; {
	case c.bytes == 0:
		c.place = last + 1
		m.charges = append(m.charges, c)
	case bytes == 0:
		m.charges[c.place], m.charges[last].place = m.charges[last], c.place
		m.charges[last], m.charges = nil, m.charges[:last]
	}
	n := m.callers[c.caller] + bytes - c.bytes
	m.callers[c.caller], c.bytes = n, bytes
	if n == 0 {
		delete(m.callers, c.caller)
	}
}

// sharesWell reports whether a caller has no more than its share. An only exchange
// may always have more.
func (m *memory) sharesWell(c *charge, bound int64) bool {
	n := m.callers[c.caller]
	return n == c.bytes || n <= bound/callersShare
}

// most is who pays when all of the bound is taken: the largest exchange of the caller
// who holds most, but requests that are still coming before those that have gone on.
func (m *memory) most() *charge {
	var most *charge
	for _, c := range m.charges {
		if most == nil || m.before(c, most) {
			most = c
		}
	}
	return most
}

func (m *memory) before(c, d *charge) bool {
	if c.accepted != d.accepted {
		return d.accepted
	}
	if a, b := m.callers[c.caller], m.callers[d.caller]; a != b {
		return a > b
	}
	return c.bytes > d.bytes
}

// BallastBytes is how large the ballast of a module is, which the collector takes for
// a heap.
const BallastBytes = 8 << 20

// limit has the garbage collector keep to what the VM may need: it works harder before
// the VM grows over it. The ballast counts for it, and takes nothing.
func (m *memory) limit(l config.Limits) {
	if budget := l.FilterMemory() + BallastBytes; budget > m.budget {
		m.budget = budget
		debug.SetMemoryLimit(budget)
	}
}
