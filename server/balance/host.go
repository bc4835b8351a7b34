package balance

import "time"

// host is the state of a backend:
//
//	well ──eject_after failures──► ejected ──time is up──► half-open
//	  ▲                               ▲                       │
//	  └──────────── answer ───────────┼─────── one request ───┤
//	                                  └─── failure: longer ───┘
//
// The group's lock guards it.
type host struct {
	active    int       // requests in flight
	failures  int       // in a row
	ejections int       // in a row; 0: it is well
	until     time.Time // the end of the last ejection
	probed    bool      // half-open, and its one request is on its way
}

// open reports whether a request may go there. now is not used while the host is
// well.
func (h *host) open(now time.Time) bool {
	return h.ejections == 0 || !h.probed && !now.Before(h.until)
}

// A Lease is a request's place at a backend. It belongs to one goroutine at a
// time. The zero value is released.
type Lease struct {
	Index int // of the backend in its group
	group *Group
	host  *host
	kind  kind
}

type kind uint8

const (
	usual     kind = iota
	probe          // the one request to a half-open host
	desperate      // to an ejected host, for there was no other
)

// Answered says that the backend has answered, whatever it said: that it can be
// reached. It reports whether this ended an ejection.
func (l *Lease) Answered() bool {
	g := l.group
	g.mu.Lock()
	defer g.mu.Unlock()
	h := l.host
	switch {
	case h.ejections == 0:
		h.failures = 0
		return false
	case l.kind == usual:
		return false // it began before the ejection, and says nothing about now
	}
	*h = host{active: h.active}
	l.kind = usual
	return true
}

// Failed says that the backend could not be reached, or ended the connection
// without an answer. It returns for how long the backend is ejected because of
// this, 0 when it is not.
func (l *Lease) Failed() time.Duration {
	g := l.group
	g.mu.Lock()
	defer g.mu.Unlock()
	h := l.host
	switch {
	case h.ejections == 0:
		if h.failures++; h.failures < g.opt.EjectAfter {
			return 0
		}
		return h.eject(g, 1)
	case l.kind == usual:
		return 0 // it began before the ejection: many fail at once
	case l.kind == probe:
		h.probed = false
		l.kind = usual
		return h.eject(g, h.ejections+1)
	}
	// Later, so that the next request without a choice tries another one.
	h.eject(g, h.ejections)
	return 0
}

func (h *host) eject(g *Group, times int) time.Duration {
	d := g.opt.MaxEjectTime
	if times <= 30 && g.opt.EjectTime<<(times-1) < d { // 30 doublings of a millisecond are twelve days
		d = g.opt.EjectTime << (times - 1)
	}
	h.ejections, h.until = times, g.opt.Now().Add(d)
	return d
}

// Release ends the request. A released lease may be released again.
func (l *Lease) Release() {
	if l.host == nil {
		return
	}
	l.group.mu.Lock()
	l.host.active--
	if l.kind == probe {
		l.host.probed = false // it has shown nothing: the next request is the probe
	}
	l.group.mu.Unlock()
	l.host = nil
}

// State is whether requests go to a backend.
type State int

// The states of a backend.
const (
	Well     State = iota
	HalfOpen       // one request at a time
	Ejected        // none while there is another
)

func (s State) String() string { return [...]string{"well", "half-open", "ejected"}[s] }

// Status is what there is to know of a backend.
type Status struct {
	Backend
	State    State
	Active   int           // requests in flight
	Failures int           // in a row
	Left     time.Duration // of the ejection
}

// Status tells of every backend, in their order.
func (g *Group) Status() []Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.opt.Now()
	all := make([]Status, len(g.backends))
	for i := range g.backends {
		m := &g.backends[i]
		s := Status{Backend: m.Backend, Active: m.host.active, Failures: m.host.failures}
		if m.host.ejections > 0 {
			s.State = HalfOpen
			if left := m.host.until.Sub(now); left > 0 {
				s.State, s.Left = Ejected, left
			}
		}
		all[i] = s
	}
	return all
}
