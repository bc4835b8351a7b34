package meter

import (
	"context"
	"sync"
	"time"
)

// Memory is a store in the process. It is exact, and forgets with the process.
type Memory struct {
	now func() time.Time
	max int // how many counters there may be

	mu       sync.Mutex
	counters map[string]*counter
	fresh    bool       // there is a new one
	found    []*counter // room for those of one Take
}

// NewMemory makes a store of so many counters at most, and a few more for those that
// find no room.
func NewMemory(counters int, now func() time.Time) *Memory {
	return &Memory{now: now, max: counters, counters: make(map[string]*counter)}
}

// Take takes all, or nothing.
func (m *Memory) Take(_ context.Context, takes []Take, force bool) (r Result, _ error) {
	now := m.now()
	ms, p := now.UnixMilli(), PeriodsAt(now)
	r.Periods = p
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fresh || len(m.counters) >= m.max { // not in between: what is new is idle until it is taken
		m.sweep(ms, p)
		m.fresh = false
	}
	m.found = m.found[:0]
	for i := range takes {
		t := &takes[i]
		c := m.counter(t, ms, p)
		m.found = append(m.found, c)
		c.now(t.Limits, ms, p)
		if r.Refused == nil && !force {
			if r.Refused = c.refuses(t, now); r.Refused != nil {
				r.Refused.Take = i
			}
		}
	}
	for i := range takes {
		t, c := &takes[i], m.found[i]
		if r.Refused == nil {
			c.take(t)
		}
		r.note(c.requests.level(t.Limits[RequestsPerMinute]), c.tokens.level(t.Limits[TokensPerMinute]))
	}
	return r, nil
}

// counter is the one that is taken from. There may be no room for a new one: then it is
// the one that all have who come too late.
func (m *Memory) counter(t *Take, ms int64, p Periods) *counter {
	if c := m.counters[t.Counter]; c != nil {
		return c
	}
	m.fresh = true
	if len(m.counters) >= m.max {
		t.Counter = t.Instead
		if c := m.counters[t.Counter]; c != nil {
			return c
		}
	}
	c := &counter{requests: bucket{at: ms}, tokens: bucket{at: ms}, day: spent{period: p.Day}, month: spent{period: p.Month}}
	m.counters[t.Counter] = c
	return c
}

// looks is how many counters are looked at for each new one, so that idle ones go
// faster than new ones come.
const looks = 8

// sweep lets a few idle counters go; a map begins anywhere.
func (m *Memory) sweep(ms int64, p Periods) {
	n := looks
	for name, c := range m.counters {
		if c.isIdle(ms, p) {
			delete(m.counters, name)
		}
		if n--; n == 0 {
			return
		}
	}
}

// Settle ends what was taken.
func (m *Memory) Settle(all []Settlement) {
	now := m.now()
	ms, p := now.UnixMilli(), PeriodsAt(now)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range all {
		s := &all[i]
		if c := m.counters[s.Counter]; c != nil { // it is not idle before
			c.now(s.Limits, ms, p)
			c.settle(s, p)
		}
	}
}

// Len is how many counters there are.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.counters)
}
