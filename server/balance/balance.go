// Package balance chooses among the backends of one route and remembers which
// of them cannot be reached. It knows no network: it is told how requests went.
//
//	Pick ─► Lease ─┬─ Answered ─┬─► Release
//	               └─ Failed ───┘
//
// A Group is cheap to ask: one lock, no allocation, no clock while all backends
// are well.
package balance

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Backend is one of a route's.
type Backend struct {
	Name     string // unique in its group; its hash is its place in the affinity
	Weight   int    // its share, at least 1
	Priority int    // lower ones first
	Max      int    // requests at once; 0: no bound
}

// Options are a group's.
type Options struct {
	EjectAfter   int           // failures in a row
	EjectTime    time.Duration // doubled with each further ejection
	MaxEjectTime time.Duration
	// MaxLoadPercent bounds the load of a backend that a key asks for: its share
	// of the requests in flight is 100. 0: no affinity, keys are not looked at.
	MaxLoadPercent int
	Now            func() time.Time // nil: time.Now
}

// MaxBackends is how many a group can have.
const MaxBackends = 64

// Tried is a set of backends, by their places in the group. The zero value is
// empty.
type Tried uint64

// Add puts a backend into the set.
func (t *Tried) Add(i int) { *t |= 1 << i }

func (t Tried) has(i int) bool { return t>>i&1 != 0 }

// Group chooses among backends. It is safe for concurrent use.
type Group struct {
	opt      Options
	mu       *sync.Mutex // of all generations of the group
	backends []member    // as they were given
	order    []int       // their places, those of one tier together
	tiers    []tier      // by priority
}

// member is a backend as this generation of the group sees it.
type member struct {
	Backend
	cost float64 // of one request: 1/weight
	seed uint64
	due  float64 // when its next turn is, in its tier's time
	host *host
}

func (m *member) hasPlace() bool { return m.Max == 0 || m.host.active < m.Max }

// tier is the backends of one priority.
type tier struct {
	from, to int     // in order
	time     float64 // the turn that was last; see leastLoaded
	equal    bool    // in weight
}

// New makes a group. What prev, nil or an earlier generation of the same route,
// knows of backends of the same names goes on to be known and counted by both.
func New(backends []Backend, opt Options, prev *Group) *Group {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	g := &Group{opt: opt, mu: new(sync.Mutex)}
	if prev != nil {
		g.mu = prev.mu
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, b := range backends {
		m := member{Backend: b, cost: 1 / float64(b.Weight), seed: hash(b.Name), host: prev.host(b.Name)}
		// Several gateways that begin at once do not all begin with the first.
		m.due = m.cost * rand.Float64() //nolint:gosec // a turn is no secret
		g.backends = append(g.backends, m)
		g.order = append(g.order, i)
	}
	slices.SortStableFunc(g.order, func(a, b int) int { return backends[a].Priority - backends[b].Priority })
	for at, i := range g.order {
		if at == 0 || backends[i].Priority != backends[g.order[at-1]].Priority {
			g.tiers = append(g.tiers, tier{from: at, equal: true})
		}
		t := &g.tiers[len(g.tiers)-1]
		t.to = at + 1
		t.equal = t.equal && backends[i].Weight == backends[g.order[t.from]].Weight
	}
	return g
}

// host is what is known of a backend, shared with the next generation.
func (g *Group) host(name string) *host {
	if g != nil {
		for i := range g.backends {
			if g.backends[i].Name == name {
				return g.backends[i].host
			}
		}
	}
	return new(host)
}

// Len is the number of backends.
func (g *Group) Len() int { return len(g.backends) }

// Pick chooses a backend that was not tried. With affinity, requests of one key
// (0: none) meet the same backend while it is well and not overloaded; others go
// where the load is least. Of several priorities the lowest number goes first.
// When every backend is ejected, the one is chosen whose time is up first. It
// returns false when all that have a place were tried. The lease must be released.
func (g *Group) Pick(key uint64, tried Tried) (Lease, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var now time.Time // read when a host is not well
	var able Tried    // to take a request
	for at := range g.tiers {
		t := &g.tiers[at]
		for _, i := range g.order[t.from:t.to] {
			h := g.backends[i].host
			if h.ejections > 0 && now.IsZero() {
				now = g.opt.Now()
			}
			if !tried.has(i) && g.backends[i].hasPlace() && h.open(now) {
				able.Add(i)
			}
		}
		if able == 0 {
			continue
		}
		if key != 0 && g.opt.MaxLoadPercent > 0 {
			return g.lease(g.related(t, key, able), probe), true
		}
		return g.lease(g.leastLoaded(t, able), probe), true
	}
	last := -1
	for _, i := range g.order {
		if !tried.has(i) && g.backends[i].hasPlace() && (last < 0 || g.backends[i].host.until.Before(g.backends[last].host.until)) {
			last = i
		}
	}
	if last < 0 {
		return Lease{}, false
	}
	return g.lease(last, desperate), true
}

// leastLoaded chooses the backend that has the least to do for its weight. What
// ties, as requests do that come one after the other, is decided by turns that
// are the closer the greater the weight (earliest deadline first). A plain least
// load would always take the heaviest.
//
// A backend whose turn another one took, for that was idle, has it later, or few
// requests at once would favour the light ones. One that was busy has not: it
// would get everything once it is free.
func (g *Group) leastLoaded(t *tier, able Tried) int {
	active, weights := g.load(t, able)
	best, least := -1, 0.0
	for _, i := range g.order[t.from:t.to] {
		m := &g.backends[i]
		saved := 0.0
		if m.host.active*weights < active*m.Weight { // less than its share
			saved = savedTurns * m.cost
		}
		m.due = max(m.due, t.time-saved)
		if !able.has(i) {
			continue
		}
		if load := m.due + float64(m.host.active)*m.cost; best < 0 || load < least {
			best, least = i, load
		}
	}
	m := &g.backends[best]
	t.time = max(t.time, m.due)
	m.due += m.cost
	if t.time > maxTime {
		for _, i := range g.order[t.from:t.to] {
			g.backends[i].due -= t.time
		}
		t.time = 0
	}
	return best
}

// savedTurns are as many as keep the weights whatever the number of requests at
// once.
const savedTurns = 2

// load is what the able backends have in flight with one request more, and the
// sum of their weights.
func (g *Group) load(t *tier, able Tried) (active, weights int) {
	active = 1
	for _, i := range g.order[t.from:t.to] {
		if m := &g.backends[i]; able.has(i) {
			active += m.host.active
			weights += m.Weight
		}
	}
	return active, weights
}

// maxTime is when a tier's time begins anew, for fractions to keep their places.
const maxTime = 1 << 20

// lease takes a place; k is what it is at a host that is ejected.
func (g *Group) lease(i int, k kind) Lease {
	h := g.backends[i].host
	h.active++
	if h.ejections == 0 {
		k = usual
	}
	h.probed = h.probed || k == probe
	return Lease{Index: i, group: g, host: h, kind: k}
}
