package statetest

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"antwort/server/state"

	"github.com/stretchr/testify/require"
)

// Prose is a text that compresses as prose does: of 2 KB S2 leaves two thirds.
func Prose(random *rand.Rand, size int) []byte {
	words := rand.NewZipf(random, 1.2, 4, 2000)
	text := make([]byte, 0, size+16)
	for len(text) < size {
		spell := rand.New(rand.NewPCG(words.Uint64(), 0)) //nolint:gosec // a number's word is always the same
		for range 4 + spell.IntN(6) {
			text = append(text, "etaoinshrdlucmfwypvb"[spell.IntN(20)])
		}
		text = append(text, ' ')
	}
	return text[:size]
}

// Bench measures what a turn of 4 KB costs.
func Bench(b *testing.B, open Open) {
	ctx, random := context.Background(), rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same in each run
	text := Prose(random, 4<<10)
	turn := func(owner state.Owner, parent string) *state.Record {
		r := Turn(owner, parent)
		r.Input, r.Output = text[:2<<10], text[2<<10:]
		return r
	}
	b.Run("commit", func(b *testing.B) {
		s := open(b, time.Now)
		for b.Loop() {
			require.NoError(b, s.Commit(ctx, turn(alice, "")))
		}
	})
	// What a client waits for before it is told that its answer is complete.
	b.Run("commit by 16", func(b *testing.B) {
		s := open(b, time.Now)
		took := make([]time.Duration, b.N)
		var next, failures atomic.Int64
		var all sync.WaitGroup
		b.ResetTimer()
		for range 16 {
			all.Go(func() {
				for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
					begun := time.Now()
					if s.Commit(ctx, turn(alice, "")) != nil {
						failures.Add(1)
					}
					took[i] = time.Since(begun)
				}
			})
		}
		all.Wait()
		require.Zero(b, failures.Load())
		slices.Sort(took)
		b.ReportMetric(float64(took[b.N/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(took[b.N*99/100].Microseconds())/1000, "p99-ms")
	})
	b.Run("sweep of 10000", func(b *testing.B) { benchSweep(b, open) })
	b.Run("chain of 100", func(b *testing.B) {
		s := open(b, time.Now)
		parent := ""
		for range 100 {
			text = Prose(random, 4<<10)
			r := turn(alice, parent)
			require.NoError(b, s.Commit(ctx, r))
			parent = r.ID
		}
		for b.Loop() {
			turns, err := s.Chain(ctx, alice, parent, state.Bounds{})
			require.NoError(b, err)
			require.Len(b, turns, 100)
		}
	})
	b.Run("get", func(b *testing.B) {
		s := open(b, time.Now)
		r := turn(alice, "")
		require.NoError(b, s.Commit(ctx, r))
		for b.Loop() {
			_, err := s.Get(ctx, alice, r.ID)
			require.NoError(b, err)
		}
	})
}
