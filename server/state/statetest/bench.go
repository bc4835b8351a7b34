package statetest

import (
	"context"
	"math/rand/v2"
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
	b.Run("commit by 16", func(b *testing.B) {
		s := open(b, time.Now)
		b.SetParallelism(8)
		var failures atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if s.Commit(ctx, turn(alice, "")) != nil {
					failures.Add(1)
				}
			}
		})
		require.Zero(b, failures.Load())
	})
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
