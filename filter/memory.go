package filter

import (
	"runtime/debug"

	"antwort/shared/config"
)

// memory counts what the exchanges of a VM hold, in bytes: memory of a VM never
// shrinks, and running out of it ends the VM with all of its streams. So what is
// held is bounded, and who has been let in does not pay for who comes later:
// requests may take three quarters of the bound, and answers the rest too.
type memory struct {
	held    int64
	budget  int64            // the largest of the VM's plugins
	callers map[string]int64 // of these bytes, those of requests that hold much
}

// Shares of the bound.
const (
	requestsShare = 4 // all requests: all but the 4th part
	callersShare  = 2 // the requests of one caller: half
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

// charge notes that a caller's request, which holds own bytes now, holds more than
// before, or less, and reports whether it may. A caller's only one may always.
func (m *memory) charge(caller string, own, more, bound int64) bool {
	if m.callers == nil {
		m.callers = make(map[string]int64)
	}
	n := m.callers[caller] + more
	if n == 0 {
		delete(m.callers, caller)
		return true
	}
	m.callers[caller] = n
	return more < 0 || n == own || n <= bound/callersShare
}

// budget is the memory that a VM may need by its limits: what is held, what the
// translation of one body takes while it runs, and what the module has at rest.
func budget(l config.Limits) int64 {
	request := 3*l.RequestBodyBytes + valueBytes*int64(l.JSONValues)
	answer := 6 * l.ResponseBodyBytes
	return l.InFlight(true) + max(request, answer) + restBytes
}

const (
	valueBytes = 256                   // of a JSON value in a parse tree
	restBytes  = 16<<20 + BallastBytes // the ballast counts for the collector, and takes nothing
)

// BallastBytes is how large the ballast of a module is, which the collector takes for
// a heap.
const BallastBytes = 8 << 20

// limit has the garbage collector keep to the budget: it works harder before the
// VM grows over it.
func (m *memory) limit(budget int64) {
	if budget > m.budget {
		m.budget = budget
		debug.SetMemoryLimit(budget)
	}
}
