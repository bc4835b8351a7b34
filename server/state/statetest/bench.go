package statetest

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"time"

	"antwort/server/state"

	"github.com/stretchr/testify/require"
)

// Bench measures what a turn of 4 KB costs.
func Bench(b *testing.B, open Open) {
	ctx := context.Background()
	turn := func(owner state.Owner, parent string) *state.Record {
		r := Turn(owner, parent)
		r.Input = bytes.Repeat([]byte("what was said, "+r.ID+", "), 40)
		r.Output = bytes.Repeat([]byte("what was answered, "+r.ID+", "), 40)
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
