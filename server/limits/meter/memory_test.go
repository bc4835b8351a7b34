package meter

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// clock is a time that a test sets.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC).UnixMilli())
	return c
}

func (c *clock) now() time.Time       { return time.UnixMilli(c.ms.Load()) }
func (c *clock) pass(d time.Duration) { c.ms.Add(d.Milliseconds()) }
func (c *clock) memory(n int) *Memory { return NewMemory(n, c.now) }
func one(l *Limits, tokens int64) Take {
	return Take{Counter: "a", Instead: "others", Limits: l, Enters: true, Tokens: tokens}
}

func take(t *testing.T, s Store, takes ...Take) Result {
	t.Helper()
	r, err := s.Take(context.Background(), takes, false)
	require.NoError(t, err)
	return r
}

func refused(t *testing.T, k Kind, r Result) *Refusal {
	t.Helper()
	require.NotNil(t, r.Refused)
	require.Equal(t, k.String(), r.Refused.Kind.String())
	return r.Refused
}

func leave(r Result, l *Limits, more int64) []Settlement {
	return []Settlement{{Counter: "a", Limits: l, Leaves: true, More: more, Periods: r.Periods}}
}

func TestRequestsAtOnceEndWhenTheyLeave(t *testing.T) {
	m, l := newClock().memory(10), &Limits{RequestsAtOnce: 2}
	r := take(t, m, one(l, 0))
	require.Nil(t, r.Refused)
	require.Nil(t, take(t, m, one(l, 0)).Refused)
	require.Equal(t, int64(2), refused(t, RequestsAtOnce, take(t, m, one(l, 0))).Used)
	m.Settle(leave(r, l, 0))
	require.Nil(t, take(t, m, one(l, 0)).Refused)
	refused(t, RequestsAtOnce, take(t, m, one(l, 0)))
}

func TestRequestsAMinuteComeBackSteadily(t *testing.T) {
	c := newClock()
	m, l := c.memory(10), &Limits{RequestsPerMinute: 7}
	for i := range 7 {
		r := take(t, m, one(l, 0))
		require.Nil(t, r.Refused)
		require.Equal(t, int64(6-i), r.Requests.Left)
	}
	r := refused(t, RequestsPerMinute, take(t, m, one(l, 0)))
	require.Equal(t, 8572*time.Millisecond, r.Wait) // a seventh of a minute, rounded up
	c.pass(r.Wait - time.Millisecond)
	refused(t, RequestsPerMinute, take(t, m, one(l, 0)))
	c.pass(time.Millisecond)
	require.Nil(t, take(t, m, one(l, 0)).Refused)
	refused(t, RequestsPerMinute, take(t, m, one(l, 0)))
	c.pass(time.Hour)
	full := take(t, m, one(l, 0))
	require.Equal(t, Level{7, 6, 8572 * time.Millisecond}, full.Requests)
}

// Over a long time exactly as many pass as there are at the beginning and come back.
func TestTheRateIsKeptToTheRequest(t *testing.T) {
	c := newClock()
	m, l := c.memory(10), &Limits{RequestsPerMinute: 601}
	passed := 0
	for range 10 * minute / 7 {
		c.pass(7 * time.Millisecond)
		if take(t, m, one(l, 0)).Refused == nil {
			passed++
		}
	}
	require.InDelta(t, 601+10*601, passed, 1)
}

func TestTokensAreReservedAndSettled(t *testing.T) {
	c := newClock()
	m, l := c.memory(10), &Limits{TokensPerMinute: 1000, TokensPerDay: 5000, TokensPerMonth: 6000}
	r := take(t, m, one(l, 900))
	require.Equal(t, Level{1000, 100, 54 * time.Second}, r.Tokens)
	require.Equal(t, int64(900), refused(t, TokensPerMinute, take(t, m, one(l, 101))).Used)
	m.Settle(leave(r, l, -850))
	require.Equal(t, int64(0), take(t, m, one(l, 950)).Tokens.Left)
	c.pass(time.Minute)
	r = take(t, m, one(l, 100))
	m.Settle(leave(r, l, 3900)) // more than was reserved
	c.pass(time.Minute)
	refused(t, TokensPerMinute, take(t, m, one(l, 1)))
	c.pass(3 * time.Minute)
	spent := refused(t, TokensPerDay, take(t, m, one(l, 1)))
	require.Equal(t, int64(5000), spent.Used)
	require.Equal(t, "2026-11-30T00:00:00Z", spent.Until.Format(time.RFC3339))
	require.Equal(t, spent.Until.Sub(c.now()), spent.Wait)
	c.pass(12 * time.Hour)
	require.Nil(t, take(t, m, one(l, 999)).Refused)
	c.pass(time.Minute)
	spent = refused(t, TokensPerMonth, take(t, m, one(l, 2)))
	require.Equal(t, "2026-12-01T00:00:00Z", spent.Until.Format(time.RFC3339))
	c.pass(24 * time.Hour)
	require.Nil(t, take(t, m, one(l, 2)).Refused)
}

func TestTokensCountWhereTheyWereReserved(t *testing.T) {
	c := newClock()
	m, l := c.memory(10), &Limits{TokensPerDay: 1000, TokensPerMonth: 1000}
	r := take(t, m, one(l, 400))
	c.pass(13 * time.Hour) // the next day of the same month
	m.Settle(leave(r, l, -390))
	require.Nil(t, take(t, m, one(l, 990)).Refused, "the day is new, and 10 of the month are used")
	refused(t, TokensPerDay, take(t, m, one(l, 11)))
}

func TestMoreThanAMinuteHasPassesAlone(t *testing.T) {
	m, l := newClock().memory(10), &Limits{TokensPerMinute: 100}
	require.Nil(t, take(t, m, one(l, 5000)).Refused)
	refused(t, TokensPerMinute, take(t, m, one(l, 0)))
}

func TestAllOrNothingIsTaken(t *testing.T) {
	m := newClock().memory(10)
	wide, narrow := &Limits{RequestsPerMinute: 100, TokensPerDay: 1000}, &Limits{RequestsAtOnce: 1}
	both := []Take{{Counter: "wide", Limits: wide, Enters: true, Tokens: 10}, {Counter: "narrow", Limits: narrow, Enters: true, Tokens: 10}}
	require.Nil(t, take(t, m, both...).Refused)
	r := take(t, m, both...)
	require.Equal(t, 1, refused(t, RequestsAtOnce, r).Take)
	require.Equal(t, int64(99), r.Requests.Left, "of what is left there is told all the same")
	require.Equal(t, int64(10), m.counters["wide"].day.used)
}

func TestForceRefusesNothing(t *testing.T) {
	m, l := newClock().memory(10), &Limits{TokensPerDay: 10}
	r, err := m.Take(context.Background(), []Take{one(l, 50)}, true)
	require.NoError(t, err)
	require.Nil(t, r.Refused)
	require.Equal(t, int64(50), refused(t, TokensPerDay, take(t, m, one(l, 1))).Used)
}

// Invented names cannot fill the memory, and harm nobody who was there before.
func TestCountersAreBounded(t *testing.T) {
	c := newClock()
	m, l := c.memory(1000), &Limits{RequestsPerMinute: 2}
	take(t, m, one(l, 0))
	names := func(n int) (passed int) {
		for i := range n {
			takes := []Take{{Counter: fmt.Sprintf("invented %d", i), Instead: "others", Limits: l, Enters: true}}
			r, err := m.Take(context.Background(), takes, false)
			require.NoError(t, err)
			if r.Refused == nil {
				passed++
				m.Settle([]Settlement{{Counter: takes[0].Counter, Limits: l, Leaves: true, Periods: r.Periods}})
			}
		}
		return passed
	}
	require.Equal(t, 999+2, names(100_000), "one for each that had room, two for all others")
	require.Equal(t, 1001, m.Len())
	require.Nil(t, take(t, m, one(l, 0)).Refused)
	refused(t, RequestsPerMinute, take(t, m, one(l, 0)))
	c.pass(10 * time.Minute)
	require.Equal(t, 900, names(900), "idle ones have gone")
}

func TestLimitsThatChangeKeepTheirCounts(t *testing.T) {
	m := newClock().memory(10)
	for range 8 {
		require.Nil(t, take(t, m, one(&Limits{RequestsPerMinute: 10, TokensPerDay: 100}, 10)).Refused)
	}
	require.Equal(t, int64(8), refused(t, RequestsPerMinute, take(t, m, one(&Limits{RequestsPerMinute: 5, TokensPerDay: 100}, 10))).Used)
	require.Equal(t, int64(80), refused(t, TokensPerDay, take(t, m, one(&Limits{RequestsPerMinute: 50, TokensPerDay: 85}, 10))).Used)
	require.Nil(t, take(t, m, one(&Limits{RequestsPerMinute: 9, TokensPerDay: 90}, 10)).Refused)
}

func TestPeriodsOfTheCalendar(t *testing.T) {
	for at, ends := range map[string][2]string{
		"2026-11-29T12:00:00Z":      {"2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z"},
		"2026-12-31T23:59:59Z":      {"2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		"2028-02-29T00:00:00Z":      {"2028-03-01T00:00:00Z", "2028-03-01T00:00:00Z"},
		"2027-01-01T00:30:00+01:00": {"2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
	} {
		when, err := time.Parse(time.RFC3339, at)
		require.NoError(t, err)
		day, month := PeriodsAt(when).Ends()
		assert.Equal(t, ends, [2]string{day.Format(time.RFC3339), month.Format(time.RFC3339)}, at)
	}
}

// Under 64 callers at once exactly as many pass as may.
func TestCallersAtOnceAreCountedExactly(t *testing.T) {
	m, l := newClock().memory(10), &Limits{RequestsAtOnce: 8, RequestsPerMinute: 5000, TokensPerDay: 1_000_000}
	var passed, active, most, used atomic.Int64
	var all sync.WaitGroup
	for caller := range 64 {
		all.Go(func() {
			for i := range 400 {
				r, err := m.Take(context.Background(), []Take{one(l, 100)}, false)
				if err != nil || r.Refused != nil {
					continue
				}
				n := active.Add(1)
				for now := most.Load(); n > now && !most.CompareAndSwap(now, n); now = most.Load() {
				}
				passed.Add(1)
				tokens := int64((caller + i) % 300)
				used.Add(tokens)
				active.Add(-1)
				m.Settle(leave(r, l, tokens-100))
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, most.Load(), int64(8))
	c := m.counters["a"]
	require.Zero(t, c.active)
	require.Equal(t, passed.Load()*minute, c.requests.used)
	require.LessOrEqual(t, passed.Load(), int64(5000))
	require.Equal(t, used.Load(), c.day.used)
}

func TestExactlyTheRatePassesUnderManyCallers(t *testing.T) {
	m, l := newClock().memory(10), &Limits{RequestsPerMinute: 1000}
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for range 100 {
				if r, err := m.Take(context.Background(), []Take{one(l, 0)}, false); err == nil && r.Refused == nil {
					passed.Add(1)
				}
			}
		})
	}
	all.Wait()
	require.Equal(t, int64(1000), passed.Load())
}

func BenchmarkMemory(b *testing.B) {
	m, l := NewMemory(100_000, time.Now), &Limits{RequestsAtOnce: 1000, RequestsPerMinute: 1e9, TokensPerMinute: 1e9, TokensPerDay: 1e11, TokensPerMonth: 1e11}
	takes, room := []Take{one(l, 100)}, make([]Settlement, 1)
	b.ReportAllocs()
	for b.Loop() {
		r, _ := m.Take(context.Background(), takes, false)
		room[0] = Settlement{Counter: "a", Limits: l, Leaves: true, More: -50, Periods: r.Periods}
		m.Settle(room)
	}
}
