package meter

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Use is what is used of a counter, by Kind, and its limits.
type Use struct {
	Counter string
	Used    [Kinds]int64 // 0 of what is not limited
	Limits  *Limits
}

// Share is how much is used of the limit of which the most is.
func (u *Use) Share() (most float64) {
	for k, limit := range u.Limits {
		if limit > 0 {
			most = max(most, float64(u.Used[k])/float64(limit))
		}
	}
	return most
}

// Looking is looking at counters: so many of those of which the most is used.
type Looking struct {
	Most int
	// Of finds the limits of a counter by its name; nil: it has none any more.
	Of func(counter string) *Limits
	// All is how many counters with limits were looked at.
	All int

	found []Use
}

// Add takes a counter in that has limits.
func (l *Looking) Add(u Use) {
	l.All++
	if l.found = append(l.found, u); len(l.found) > 2*l.Most {
		l.cut()
	}
}

func (l *Looking) cut() {
	slices.SortFunc(l.found, func(a, b Use) int {
		switch x, y := a.Share(), b.Share(); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return strings.Compare(a.Counter, b.Counter)
	})
	l.found = l.found[:min(l.Most, len(l.found))]
}

// Found are the counters, those first of which the most is used.
func (l *Looking) Found() []Use {
	l.cut()
	return l.found
}

// Reading is a counter as a store has it: buckets with 60,000 for each request or token,
// and when they were that full; budgets, and of which period.
type Reading struct {
	Active, Requests, RequestsAt, Tokens, TokensAt, Day, DayOf, Month, MonthOf int64
}

// Used is what is used by a time.
func (r *Reading) Used(l *Limits, now time.Time) [Kinds]int64 {
	c := counter{r.Active, bucket{r.Requests, r.RequestsAt}, bucket{r.Tokens, r.TokensAt}, spent{r.Day, r.DayOf}, spent{r.Month, r.MonthOf}}
	return c.used(l, now.UnixMilli(), PeriodsAt(now))
}

// used is what is used of a copy of a counter.
func (c counter) used(l *Limits, ms int64, p Periods) (used [Kinds]int64) {
	c.now(l, ms, p)
	used = [Kinds]int64{c.active, (c.requests.used + minute - 1) / minute, (c.tokens.used + minute - 1) / minute, c.day.used, c.month.used}
	for k, limit := range l {
		if limit == 0 {
			used[k] = 0
		}
	}
	return used
}

// lookStep is how many counters are read while nobody counts.
const lookStep = 256

// Look looks at all counters, some at a time: requests do not wait for it.
func (m *Memory) Look(_ context.Context, l *Looking) error {
	m.mu.Lock()
	names := make([]string, 0, len(m.counters))
	for name := range m.counters {
		names = append(names, name)
	}
	m.mu.Unlock()
	now := m.now()
	ms, p := now.UnixMilli(), PeriodsAt(now)
	room := make([]counter, 0, lookStep)
	for some := range slices.Chunk(names, lookStep) {
		room = room[:0]
		m.mu.Lock()
		for _, name := range some {
			c := m.counters[name]
			if c == nil {
				c = new(counter) // it has gone meanwhile
			}
			room = append(room, *c)
		}
		m.mu.Unlock()
		for i, name := range some {
			if limits := l.Of(name); limits != nil {
				l.Add(Use{name, room[i].used(limits, ms, p), limits})
			}
		}
	}
	return nil
}
