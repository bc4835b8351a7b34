package memory_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"antwort/server/state"
	"antwort/server/state/memory"
	"antwort/server/state/statetest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func open(t testing.TB, maxBytes int64, now func() time.Time) *memory.Store {
	s := memory.New(memory.Options{MaxBytes: maxBytes, Now: now})
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestStore(t *testing.T) {
	statetest.Run(t, func(t testing.TB, now func() time.Time) state.Store { return open(t, 64<<20, now) })
}

func BenchmarkStore(b *testing.B) {
	statetest.Bench(b, func(t testing.TB, now func() time.Time) state.Store { return open(t, 64<<20, now) })
}

var (
	ctx   = context.Background()
	alice = state.Owner{1}
)

// turn is a record of about size bytes that do not compress.
func turn(parent string, size int) *state.Record {
	r := statetest.Turn(alice, parent)
	r.Output = make([]byte, size)
	_, _ = rand.Read(r.Output)
	return r
}

func TestSweep(t *testing.T) {
	statetest.Sweep(t, func(t testing.TB, now func() time.Time) state.Store { return open(t, 64<<20, now) })
}

func TestFullStoreForgetsTheThreadUsedLongestAgoWhole(t *testing.T) {
	s := open(t, 100<<10, nil)
	commit := func(parent string) string {
		r := turn(parent, 10<<10)
		require.NoError(t, s.Commit(ctx, r))
		return r.ID
	}
	first := commit("")
	second := commit("")
	middle := commit(first)
	last := commit(middle)
	other := commit("")
	_, err := s.Get(ctx, alice, second) // which is a use
	require.NoError(t, err)
	for range 4 { // one is too many
		commit(second)
	}
	for _, id := range []string{first, middle, last} {
		_, err := s.Chain(ctx, alice, id, state.Bounds{})
		assert.ErrorIs(t, err, state.ErrNotFound, "no part of the oldest thread is left")
	}
	assert.Equal(t, &state.MissingError{ID: last}, s.Commit(ctx, turn(last, 1)))
	_, err = s.Get(ctx, alice, other)
	assert.NoError(t, err, "no more than needed goes")
}

func TestFullStoreForgetsConversationsWhole(t *testing.T) {
	s := open(t, 100<<10, nil)
	old, used := statetest.Conversation(t, s, alice, "one"), statetest.Conversation(t, s, alice, "one")
	noise := func(c *state.Conversation, size int) error {
		b := state.Batch{ID: statetest.NewID(), Items: []state.Item{{ID: statetest.NewID(), Data: make([]byte, size)}}}
		return s.AddItems(ctx, alice, c.ID, b)
	}
	for _, c := range []*state.Conversation{old, used, old, used} {
		require.NoError(t, noise(c, 10<<10))
	}
	require.NoError(t, s.Lock(ctx, alice, old.ID, "a", time.Minute))
	require.NoError(t, noise(used, 60<<10)) // there is room for one of both
	_, err := s.GetConversation(ctx, alice, old.ID)
	assert.ErrorIs(t, err, state.ErrNotFound)
	items, _, err := s.Items(ctx, alice, used.ID, state.Span{})
	require.NoError(t, err)
	assert.Len(t, items, 4, "all of the other")
	assert.ErrorIs(t, noise(used, 50<<10), state.ErrTooLarge)
	items, _, err = s.Items(ctx, alice, used.ID, state.Span{})
	require.NoError(t, err)
	assert.Len(t, items, 4)
	all, err := s.Usage(ctx)
	require.NoError(t, err)
	assert.Equal(t, 1, all[alice].Conversations)
}

func TestConversationLargerThanTheStoreIsRefusedAndForgetsNothing(t *testing.T) {
	s := open(t, 100<<10, nil)
	first, other := turn("", 60<<10), turn("", 10<<10)
	require.NoError(t, s.Commit(ctx, first))
	require.NoError(t, s.Commit(ctx, other))
	assert.ErrorIs(t, s.Commit(ctx, turn(first.ID, 60<<10)), state.ErrTooLarge)
	assert.ErrorIs(t, s.Commit(ctx, turn("", 101<<10)), state.ErrTooLarge)
	for _, r := range []*state.Record{first, other} {
		_, err := s.Chain(ctx, alice, r.ID, state.Bounds{})
		assert.NoError(t, err)
	}
}

// The process grows by no more than one and a half of what it was given, however
// long it runs and of whatever sizes the turns are.
func TestResidentMemory(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector takes memory of its own")
	}
	const given = 64 << 20
	resident := func() int64 {
		runtime.GC()
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Skip("there is no /proc here")
		}
		_, rest, _ := strings.Cut(string(status), "VmRSS:")
		kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		require.NoError(t, err)
		return kb << 10
	}
	s := open(t, given, nil)
	before := resident()
	most := int64(0)
	for _, size := range []int{100, 60 << 10, 1, 1500, 300 << 10, 100} {
		r := turn("", size)
		for written := 0; written < 2*given; written += size + 700 {
			r.ID = statetest.NewID()
			require.NoError(t, s.Commit(ctx, r))
		}
		most = max(most, resident()-before)
		used, err := s.Usage(ctx)
		require.NoError(t, err)
		assert.LessOrEqual(t, used[alice].Bytes, int64(given))
		assert.Greater(t, used[alice].Bytes, int64(given)*9/10)
	}
	t.Logf("%d MiB resident of %d MiB given", most>>20, given>>20)
	assert.LessOrEqual(t, most, int64(given)*3/2)
}

// A full store forgets no thread whose job has not ended, and what is refused for
// that leaves room for the job to end.
func TestThreadWithJobStays(t *testing.T) {
	s := open(t, 1<<20, nil)
	j := statetest.Job(state.Owner{1}, "")
	require.NoError(t, s.Accept(t.Context(), j, 0))
	c, err := s.Claim(t.Context(), time.Hour)
	require.NoError(t, err)
	for range 1000 {
		require.NoError(t, s.Commit(t.Context(), statetest.Turn(state.Owner{2}, "")))
	}
	large := state.Events{First: 2, Last: 2, Data: bytes.Repeat([]byte("a"), 400_000)}
	require.NoError(t, s.Append(t.Context(), c.Lease, large))
	large.First, large.Last = 3, 3
	require.NoError(t, s.Append(t.Context(), c.Lease, large), "the others have gone")
	large.First, large.Last = 4, 4
	require.ErrorIs(t, s.Append(t.Context(), c.Lease, large), state.ErrTooLarge)
	r := c.Record
	r.Status = state.Completed
	require.ErrorIs(t, s.Finish(t.Context(), c.Lease, &r, large), state.ErrTooLarge)
	require.ErrorIs(t, s.Commit(t.Context(), &state.Record{ID: "a", Owner: state.Owner{2}, Status: state.Completed, Input: large.Data}), state.ErrTooLarge)
	r.Status = state.Failed
	require.NoError(t, s.Finish(t.Context(), c.Lease, &r, state.Events{First: 4, Last: 4, Data: []byte("end")}))
	require.NoError(t, s.Commit(t.Context(), &state.Record{ID: "a", Owner: state.Owner{2}, Status: state.Completed, Input: large.Data}))
	_, err = s.Get(t.Context(), state.Owner{1}, j.ID)
	require.ErrorIs(t, err, state.ErrNotFound, "it has ended, and goes as any other")
}
