package statetest

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"antwort/server/state"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What has expired goes in steps of so many threads, with a pause after each: as in the
// keeper.
const (
	sweepStep  = 200
	sweepPause = 10 * time.Millisecond
)

// expired makes so many threads of one response, by many at once.
func expired(t testing.TB, s state.Store, c *clock, many int, turn func() *state.Record) {
	var all sync.WaitGroup
	next := make(chan *state.Record)
	for range 64 {
		all.Go(func() {
			for r := range next {
				assert.NoError(t, s.Commit(context.Background(), r))
			}
		})
	}
	for range many {
		next <- turn()
	}
	close(next)
	all.Wait()
	c.advance(2 * time.Hour)
}

// writing are conversations that go on, each by one writer.
type writing struct {
	store state.Store
	ctx   context.Context
	done  context.CancelFunc
	turn  func(parent string) *state.Record
	ahead int // how many turns a conversation may go on while nobody waits for it; 0: any number
	all   sync.WaitGroup

	mu    sync.Mutex
	more  sync.Cond // something of what follows has changed
	told  [][]*state.Record
	until int // ahead, from where they were waited for
	took  []time.Duration
	wrong error
}

// write has so many conversations go on until they are ended.
func write(s state.Store, writers, ahead int, turn func(parent string) *state.Record) *writing {
	w := &writing{store: s, turn: turn, ahead: ahead, until: ahead, told: make([][]*state.Record, writers)}
	w.ctx, w.done = context.WithCancel(context.Background())
	w.more.L = &w.mu
	for i := range writers {
		w.all.Go(func() { w.goOn(i) })
	}
	return w
}

func (w *writing) goOn(i int) {
	for parent := ""; w.ctx.Err() == nil; {
		r := w.turn(parent)
		within, cancel := context.WithTimeout(context.Background(), time.Minute)
		begun := time.Now()
		err := w.store.Commit(within, r)
		took := time.Since(begun)
		cancel()
		w.mu.Lock()
		if parent = r.ID; err != nil {
			w.wrong = err
		} else {
			w.told[i], w.took = append(w.told[i], r), append(w.took, took)
		}
		w.more.Broadcast()
		for w.ahead > 0 && len(w.told[i]) >= w.until && w.ctx.Err() == nil {
			w.more.Wait()
		}
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// each waits until each conversation has gone on.
func (w *writing) each() (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := make([]int, len(w.told))
	for i := range w.told {
		before[i] = len(w.told[i])
		w.until = max(w.until, before[i]+w.ahead)
	}
	w.more.Broadcast()
	for i := range w.told {
		for w.wrong == nil && len(w.told[i]) == before[i] {
			w.more.Wait()
		}
	}
	return w.wrong
}

// commits is how many turns there were.
func (w *writing) commits() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.took)
}

// stop lets no conversation go on.
func (w *writing) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done()
	w.more.Broadcast()
}

// end ends them, and returns what the commits took, in their order.
func (w *writing) end() []time.Duration {
	w.stop()
	w.all.Wait()
	return w.took
}

// shares are what half and what nearly all of them took at most.
func shares(took []time.Duration) (half, most time.Duration) {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[len(sorted)/2], sorted[len(sorted)*99/100]
}

// Sweep removes 10,000 threads that have expired in small steps, while conversations go on
// between the steps. It is apart from Run because making them takes a while.
func Sweep(t *testing.T, open Open) {
	many, step := 10_000, sweepStep
	if testing.Short() {
		many, step = 1000, 50
	}
	c := newClock()
	s := open(t, c.now)
	expired(t, s, c, many, func() *state.Record { return Turn(bob, "") })
	used, err := s.Usage(context.Background())
	require.NoError(t, err)
	require.Equal(t, many, used[bob].Responses)
	w := write(s, 4, 100, func(parent string) *state.Record { return Turn(alice, parent) })
	defer w.stop()
	require.NoError(t, w.each())
	var swept, steps, during int
	var sweeping time.Duration
	first := w.commits()
	for more := true; more; steps++ {
		before, begun := w.commits(), time.Now()
		got, err := s.Sweep(context.Background(), c.now(), step)
		sweeping += time.Since(begun)
		during += w.commits() - before
		require.NoError(t, err)
		require.Equal(t, step, got.Responses)
		swept, more = swept+got.Responses, got.More
		require.NoError(t, w.each())
	}
	half, most := shares(w.end()[first:])
	require.Equal(t, many, swept)
	require.Equal(t, many/step, steps)
	told := 0
	for _, records := range w.told {
		assertChain(t, s, records...)
		told += len(records)
	}
	used, err = s.Usage(context.Background())
	require.NoError(t, err)
	require.Equal(t, told, used[alice].Responses)
	require.NotContains(t, used, bob)
	t.Logf("%d swept in %d steps of %v in all; %d commits meanwhile, %d of them during a step: half within %v, 99 of 100 within %v", swept, steps, sweeping, told-first, during, half, most)
}

// benchSweep measures how long sweeping 10,000 threads of 4 KB takes, and what 16
// conversations at once wait for their commits meanwhile.
func benchSweep(b *testing.B, open Open) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same in each run
	text := Prose(random, 4<<10)
	turn := func(owner state.Owner, parent string) *state.Record {
		r := Turn(owner, parent)
		r.Input, r.Output = text[:2<<10], text[2<<10:]
		return r
	}
	for b.Loop() {
		b.StopTimer()
		c := newClock()
		s := open(b, c.now)
		expired(b, s, c, 10_000, func() *state.Record { return turn(bob, "") })
		w := write(s, 16, 0, func(parent string) *state.Record {
			if rand.IntN(10) == 0 { //nolint:gosec // conversations of some ten turns
				parent = ""
			}
			return turn(alice, parent)
		})
		for w.commits() < 1000 { // as it is without a sweep
			require.NoError(b, w.each())
		}
		first := w.commits()
		b.StartTimer()
		begun := time.Now()
		for more := true; more; {
			got, err := s.Sweep(context.Background(), c.now(), sweepStep)
			require.NoError(b, err)
			if more = got.More; more {
				time.Sleep(sweepPause)
			}
		}
		swept := time.Since(begun)
		b.StopTimer()
		took := w.end()
		require.NoError(b, w.wrong)
		b.ReportMetric(swept.Seconds(), "sweep-s")
		for name, took := range map[string][]time.Duration{"before": took[:first], "meanwhile": took[first:]} {
			half, most := shares(took)
			b.ReportMetric(float64(half.Microseconds())/1000, "p50-ms-"+name)
			b.ReportMetric(float64(most.Microseconds())/1000, "p99-ms-"+name)
		}
		require.NoError(b, s.Close())
		b.StartTimer()
	}
}
