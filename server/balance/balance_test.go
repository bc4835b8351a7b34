package balance_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"antwort/server/balance"

	"github.com/stretchr/testify/require"
)

// clock is a time that stands until it is moved.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }

func options(c *clock) balance.Options {
	return balance.Options{EjectAfter: 3, EjectTime: 5 * time.Second, MaxEjectTime: 30 * time.Second, Now: c.now}
}

// backends have the weights, and are named a, b, c, …
func backends(weights ...int) []balance.Backend {
	var all []balance.Backend
	for i, w := range weights {
		all = append(all, balance.Backend{Name: string(rune('a' + i)), Weight: w})
	}
	return all
}

func group(c *clock, weights ...int) *balance.Group {
	return balance.New(backends(weights...), options(c), nil)
}

func pick(t *testing.T, g *balance.Group, key uint64, tried balance.Tried) balance.Lease {
	t.Helper()
	l, ok := g.Pick(key, tried)
	require.True(t, ok, "no backend was left")
	return l
}

func TestRequestsOneAfterTheOtherKeepTheWeights(t *testing.T) {
	for _, weights := range [][]int{{1}, {1, 1}, {3, 1}, {1, 3}, {5, 3, 2}, {100, 1}, {1, 1, 1, 1}} {
		t.Run(fmt.Sprint(weights), func(t *testing.T) {
			g := group(new(clock), weights...)
			got, sum := make([]int, len(weights)), 0
			for range 2000 {
				l := pick(t, g, 0, 0)
				got[l.Index]++
				l.Release()
			}
			for _, w := range weights {
				sum += w
			}
			for i, w := range weights {
				require.InDelta(t, float64(2000*w)/float64(sum), float64(got[i]), 2, "weights %v got %v", weights, got)
			}
		})
	}
}

// load keeps n requests in flight, each of a duration by its backend, in steps of
// time, and returns how many each backend took.
func load(t *testing.T, g *balance.Group, n, requests int, duration func(backend int) int) []int {
	type running struct {
		lease balance.Lease
		until int
	}
	var flight []running
	got := make([]int, g.Len())
	for now := 0; requests > 0; now++ {
		flight = slices.DeleteFunc(flight, func(r running) bool {
			if r.until <= now {
				r.lease.Release()
			}
			return r.until <= now
		})
		for ; len(flight) < n && requests > 0; requests-- {
			l := pick(t, g, 0, 0)
			got[l.Index]++
			flight = append(flight, running{l, now + duration(l.Index)})
		}
	}
	return got
}

func TestConcurrentRequestsKeepTheWeights(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 4, 8, 16, 64, 500} {
		got := load(t, group(new(clock), 3, 1), n, 20_000, func(int) int { return 1 + random.IntN(20) })
		require.InDelta(t, 0.75, float64(got[0])/20_000, 0.02, "%d at once: %v", n, got)
	}
}

// The slower backend has as many requests in flight as the other one, so it
// finishes fewer.
func TestSlowBackendGetsLess(t *testing.T) {
	for _, n := range []int{2, 8, 64} {
		got := load(t, group(new(clock), 1, 1), n, 20_000, func(i int) int { return []int{10, 40}[i] })
		require.InDelta(t, 0.8, float64(got[0])/20_000, 0.02, "%d at once: %v", n, got)
	}
}

// A turn that a busy backend could not take is not made up for: it would get
// everything once it is free.
func TestBusyBackendSavesNoTurnsUp(t *testing.T) {
	g := group(new(clock), 1, 1)
	var held []balance.Lease
	for len(held) < 100 { // b is busy
		l := pick(t, g, 0, 1)
		held = append(held, l)
	}
	for range 90 {
		l := pick(t, g, 0, 0)
		require.Zero(t, l.Index)
		l.Release()
	}
	for i := range held {
		held[i].Release()
	}
	var got [2]int
	for range 20 {
		l := pick(t, g, 0, 0)
		got[l.Index]++
		l.Release()
	}
	require.InDelta(t, 10, got[0], 1)
}

func TestTriedBackendsAreNotChosenAgain(t *testing.T) {
	g := group(new(clock), 1, 1, 1)
	var tried balance.Tried
	var got []int
	for range 3 {
		l := pick(t, g, 0, tried)
		tried.Add(l.Index)
		got = append(got, l.Index)
	}
	require.ElementsMatch(t, []int{0, 1, 2}, got)
	_, ok := g.Pick(0, tried)
	require.False(t, ok)
	_, ok = balance.New(nil, options(new(clock)), nil).Pick(0, 0)
	require.False(t, ok)
}

func TestPriorities(t *testing.T) {
	c := new(clock)
	all := []balance.Backend{{Name: "c", Weight: 1, Priority: 2}, {Name: "a", Weight: 1}, {Name: "b", Weight: 1, Priority: 1}, {Name: "d", Weight: 1}}
	g := balance.New(all, options(c), nil)
	for range 10 { // however busy they are
		l := pick(t, g, 0, 0)
		require.Contains(t, []int{1, 3}, l.Index)
	}
	eject(t, g, 1)
	for range 5 {
		l := pick(t, g, 0, 0)
		require.Equal(t, 3, l.Index)
	}
	var tried balance.Tried
	tried.Add(3)
	l := pick(t, g, 0, tried)
	require.Equal(t, 2, l.Index, "all before are ejected or tried")
	eject(t, g, 3)
	l = pick(t, g, 0, 0)
	require.Equal(t, 2, l.Index)
	eject(t, g, 2)
	l = pick(t, g, 0, 0)
	require.Equal(t, 0, l.Index)
	c.pass(5 * time.Second)
	l = pick(t, g, 0, 0)
	require.Contains(t, []int{1, 3}, l.Index, "the first ones are tried again")
}

// A changed configuration forgets neither who is ejected nor what is in flight.
func TestNextGenerationKnowsItsBackends(t *testing.T) {
	c := new(clock)
	old := group(c, 1, 1)
	running := at(t, old, 1)
	eject(t, old, 0)
	g := balance.New([]balance.Backend{{Name: "new", Weight: 1}, {Name: "b", Weight: 1}, {Name: "a", Weight: 2}}, options(c), old)
	s := g.Status()
	require.Equal(t, []balance.State{balance.Well, balance.Well, balance.Ejected}, []balance.State{s[0].State, s[1].State, s[2].State})
	require.Equal(t, []int{0, 1, 0}, []int{s[0].Active, s[1].Active, s[2].Active})
	running.Release()
	running.Release()
	require.Zero(t, g.Status()[1].Active)
}

func TestConcurrentUse(t *testing.T) {
	g := affine(&clock{}, nil, backends(1, 2, 3))
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(n)))
			for range 2000 {
				l, ok := g.Pick(random.Uint64()&^1, 0)
				if !ok {
					t.Error("no backend")
					return
				}
				if random.IntN(3) == 0 {
					l.Failed()
				} else {
					l.Answered()
				}
				g.Status()
				l.Release()
			}
		})
	}
	all.Wait()
	for _, s := range g.Status() {
		require.Zero(t, s.Active)
	}
}

func TestChoosingAllocatesNothing(t *testing.T) {
	for _, key := range []uint64{0, 1} {
		g := affine(&clock{}, nil, backends(1, 2, 3))
		require.Zero(t, testing.AllocsPerRun(100, func() {
			l, _ := g.Pick(key, 0)
			l.Answered()
			l.Release()
		}))
	}
}

func BenchmarkPick(b *testing.B) {
	for _, n := range []int{1, 4, 16, 64} {
		for name, key := range map[string]uint64{"load": 0, "affinity": 12345} {
			b.Run(fmt.Sprint(name, n), func(b *testing.B) {
				var all []balance.Backend
				for i := range n {
					all = append(all, balance.Backend{Name: fmt.Sprint("http://vllm-", i), Weight: 1 + i%3})
				}
				g := affine(&clock{}, nil, all)
				b.ReportAllocs()
				for b.Loop() {
					l, _ := g.Pick(key, 0)
					l.Answered()
					l.Release()
				}
			})
		}
	}
}
