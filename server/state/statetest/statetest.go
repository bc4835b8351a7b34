// Package statetest says what every store of responses does. The tests of each
// store enter by [Run], with a way to make one; nothing else does.
package statetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"antwort/server/state"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Open makes a store that is empty, and closes it when the test ends. now is its
// clock.
type Open func(t testing.TB, now func() time.Time) state.Store

// Owners of the tests.
var (
	alice = state.Owner{1}
	bob   = state.Owner{2}
)

var lastID atomic.Int64

// NewID makes an id that was not there before.
func NewID() string { return fmt.Sprintf("%032d", lastID.Add(1)) }

// Turn makes a record with something in it.
func Turn(owner state.Owner, parent string) *state.Record {
	id := NewID()
	return &state.Record{
		ID: id, Owner: owner, Parent: parent, Status: state.Completed, Created: time.UnixMilli(1_800_000_000_123), TTL: time.Hour,
		Input: []byte(`[{"in":"` + id + `"}]`), Output: []byte(`[{"out":"` + id + `"}]`), Shell: []byte(`{"id":"resp_` + id + `","output":}`), Cut: 55,
	}
}

// commit makes a record and keeps it.
func commit(t testing.TB, s state.Store, owner state.Owner, parent string) *state.Record {
	t.Helper()
	r := Turn(owner, parent)
	require.NoError(t, s.Commit(context.Background(), r))
	return r
}

// chain commits n turns, each after the other.
func chain(t testing.TB, s state.Store, owner state.Owner, n int) []*state.Record {
	t.Helper()
	all := make([]*state.Record, n)
	parent := ""
	for i := range all {
		all[i] = commit(t, s, owner, parent)
		parent = all[i].ID
	}
	return all
}

// assertChain expects the chain of the last record to be these records.
func assertChain(t *testing.T, s state.Store, records ...*state.Record) {
	t.Helper()
	last := records[len(records)-1]
	turns, err := s.Chain(context.Background(), last.Owner, last.ID, state.Bounds{})
	require.NoError(t, err)
	require.Len(t, turns, len(records))
	for i, r := range records {
		assert.Equal(t, state.Turn{ID: r.ID, Status: r.Status, Flags: r.Flags, Input: r.Input, Output: r.Output}, turns[i], "turn %d", i)
	}
}

// clock is one that tests move.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.at.Store(1_800_000_000_000)
	return c
}

func (c *clock) now() time.Time          { return time.UnixMilli(c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(d.Milliseconds()) }

// Run holds a kind of store against all that is expected of every one.
func Run(t *testing.T, open Open) {
	tests := map[string]func(*testing.T, state.Store, *clock){
		"what is committed is read back byte for byte":    readBack,
		"a chain is whole and in order":                   inOrder,
		"two responses may continue one":                  forks,
		"a chain has bounds":                              bounds,
		"an id that is none is not looked for":            malformedIDs,
		"what is somebody else's is as what never was":    owners,
		"what was deleted is gone, and its chain is open": deletion,
		"a thread without responses is gone":              lastDeleted,
		"committing again is a success":                   committedAgain,
		"a failed response is kept and not continued":     failedTurn,
		"a chain expires as a whole":                      expiry,
		"a chain with less time expires earlier":          lessTime,
		"sweeping goes in steps":                          sweeping,
		"without a ttl a chain stays":                     stays,
		"a purge takes all of one owner":                  purge,
		"an export has all of one owner":                  export,
		"usage is what is there":                          usage,
		"a key is the first that was given":               keys,
		"what was returned is the caller's":               ownCopies,
		"an answered turn can be continued at once":       atOnce,
		"a caller that left gets its own error":           cancelled,
		"a record that is none is refused":                badRecords,
		"a closed store is unavailable":                   closed,
	}
	maps.Copy(tests, jobTests)
	maps.Copy(tests, conversationTests)
	maps.Copy(tests, threadTests)
	maps.Copy(tests, joinedTests)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			test(t, open(t, c.now), c)
		})
	}
}

func keys(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	fresh := []byte{1, 2, 0xff}
	key, err := s.Key(ctx, "a", fresh)
	require.NoError(t, err)
	require.Equal(t, []byte{1, 2, 0xff}, key)
	key[0], fresh[0] = 9, 9
	for name, want := range map[string][]byte{"a": {1, 2, 0xff}, "b": {7}} {
		key, err = s.Key(ctx, name, []byte{7})
		require.NoError(t, err)
		require.Equal(t, want, key, name)
	}
	var group sync.WaitGroup
	given := make([][]byte, 8)
	for i := range given {
		group.Go(func() {
			given[i], _ = s.Key(ctx, "many", []byte("abcdefgh"[i:i+1]))
		})
	}
	group.Wait()
	for _, key := range given {
		require.Len(t, key, 1)
		require.Equal(t, given[0], key, "all have the same")
	}
}

func readBack(t *testing.T, s state.Store, _ *clock) {
	noise := make([]byte, 100_000)
	_, _ = rand.Read(noise)
	for name, change := range map[string]func(*state.Record){
		"small":         func(*state.Record) {},
		"nothing in it": func(r *state.Record) { r.Input, r.Output, r.Shell, r.Cut = []byte{}, []byte{}, []byte{}, 0 },
		"large text":    func(r *state.Record) { r.Input = bytes.Repeat([]byte("and so on, "), 20_000) },
		"noise":         func(r *state.Record) { r.Output = noise },
		"blocks' edges": func(r *state.Record) {
			r.Input, r.Output, r.Shell, r.Cut = noise[:512], noise[:1024], noise[:1536], 1536
		},
		"a kilobyte":        func(r *state.Record) { r.Shell = bytes.Repeat([]byte{0}, 1024) },
		"cut in front":      func(r *state.Record) { r.Cut = 0 },
		"cut at the end":    func(r *state.Record) { r.Cut = len(r.Shell) },
		"incomplete":        func(r *state.Record) { r.Status = state.Incomplete },
		"cancelled":         func(r *state.Record) { r.Status, r.Flags = state.Cancelled, state.Streamed },
		"failed":            func(r *state.Record) { r.Status = state.Failed },
		"bytes of any kind": func(r *state.Record) { r.Output = []byte{0, 1, 0xff, 0xfe, '\'', '"', 0} },
	} {
		r := Turn(alice, "")
		change(r)
		require.NoError(t, s.Commit(context.Background(), r), name)
		got, err := s.Get(context.Background(), alice, r.ID)
		require.NoError(t, err, name)
		assert.Equal(t, r.ID, got.Thread, name)
		assert.Equal(t, 1, got.Depth, name)
		assert.True(t, r.Created.Equal(got.Created), name)
		got.Thread, got.Depth, got.TTL, got.Created = "", 0, r.TTL, r.Created
		assert.Equal(t, r, got, name)
		assert.Equal(t, r.AppendResource(nil), got.AppendResource(nil), name)
	}
}

func inOrder(t *testing.T, s state.Store, _ *clock) {
	all := chain(t, s, alice, 100)
	assertChain(t, s, all...)
	assertChain(t, s, all[0])
	assertChain(t, s, all[:2]...)
	last, err := s.Get(context.Background(), alice, all[99].ID)
	require.NoError(t, err)
	assert.Equal(t, 100, last.Depth)
	assert.Equal(t, all[0].ID, last.Thread)
	assert.Equal(t, all[98].ID, last.Parent)
}

func forks(t *testing.T, s state.Store, _ *clock) {
	all := chain(t, s, alice, 2)
	left, right := commit(t, s, alice, all[1].ID), commit(t, s, alice, all[1].ID)
	more := commit(t, s, alice, right.ID)
	assertChain(t, s, all[0], all[1], left)
	assertChain(t, s, all[0], all[1], right, more)
}

func bounds(t *testing.T, s state.Store, _ *clock) {
	all := chain(t, s, alice, 5)
	size := int64(5 * (len(all[0].Input) + len(all[0].Output)))
	for _, c := range []struct {
		name   string
		bounds state.Bounds
		want   error
	}{
		{"as deep as may be", state.Bounds{Depth: 5, Bytes: size}, nil},
		{"one turn deeper", state.Bounds{Depth: 4}, &state.TooLongError{Bound: state.DepthBound, Limit: 4}},
		{"a byte more", state.Bounds{Bytes: size - 1}, &state.TooLongError{Bound: state.BytesBound, Limit: size - 1}},
	} {
		turns, err := s.Chain(context.Background(), alice, all[4].ID, c.bounds)
		if c.want == nil {
			require.NoError(t, err, c.name)
			assert.Len(t, turns, 5, c.name)
			continue
		}
		assert.Equal(t, c.want, err, c.name)
		assert.ErrorIs(t, err, state.ErrTooLong, c.name)
	}
	large := Turn(alice, "")
	large.Input = bytes.Repeat([]byte("a"), 100_000) // little once compressed
	require.NoError(t, s.Commit(context.Background(), large))
	_, err := s.Chain(context.Background(), alice, large.ID, state.Bounds{Bytes: 99_999})
	assert.ErrorIs(t, err, state.ErrTooLong, "what counts is the content")
}

// malformedIDs shows by a closed store, which answers every look with
// ErrUnavailable, that there is none.
func malformedIDs(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	ask := func(id string, want error) {
		_, err := s.Get(ctx, alice, id)
		assert.ErrorIs(t, err, want, "Get %.20q", id)
		_, err = s.Chain(ctx, alice, id, state.Bounds{})
		assert.ErrorIs(t, err, want, "Chain %.20q", id)
		assert.ErrorIs(t, s.Delete(ctx, alice, id), want, "Delete %.20q", id)
	}
	ask(NewID(), state.ErrNotFound)
	require.NoError(t, s.Close())
	for _, id := range []string{"", "resp_abc", "ABC", "a'b", "a\x00b", "ä", "a b", strings.Repeat("a", 65), strings.Repeat("a", 10<<10)} {
		ask(id, state.ErrNotFound)
	}
	ask(NewID(), state.ErrUnavailable)
}

func owners(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	his := commit(t, s, alice, "")
	_, unknown := s.Get(ctx, bob, NewID())
	_, err := s.Get(ctx, bob, his.ID)
	assert.Equal(t, unknown, err)
	_, err = s.Chain(ctx, bob, his.ID, state.Bounds{})
	assert.Equal(t, unknown, err)
	assert.Equal(t, unknown, s.Delete(ctx, bob, his.ID))
	mine := Turn(bob, his.ID)
	assert.Equal(t, &state.MissingError{ID: his.ID}, s.Commit(ctx, mine))
	mine.ID, mine.Parent = his.ID, ""
	assert.ErrorIs(t, s.Commit(ctx, mine), state.ErrConflict)
	next := commit(t, s, alice, his.ID)
	mine.ID = next.ID
	assert.ErrorIs(t, s.Commit(ctx, mine), state.ErrConflict)
	assertChain(t, s, his, next)
	used, err := s.Usage(ctx)
	require.NoError(t, err)
	assert.NotContains(t, used, bob, "what was refused has left nothing")
}

func deletion(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	all := chain(t, s, alice, 3)
	require.NoError(t, s.Delete(ctx, alice, all[1].ID))
	assert.ErrorIs(t, s.Delete(ctx, alice, all[1].ID), state.ErrNotFound)
	_, err := s.Get(ctx, alice, all[1].ID)
	assert.ErrorIs(t, err, state.ErrNotFound)
	_, err = s.Chain(ctx, alice, all[1].ID, state.Bounds{})
	assert.ErrorIs(t, err, state.ErrNotFound)

	_, err = s.Get(ctx, alice, all[2].ID)
	assert.NoError(t, err, "the one after it can be read")
	_, err = s.Chain(ctx, alice, all[2].ID, state.Bounds{})
	assert.Equal(t, &state.MissingError{ID: all[1].ID}, err)
	assert.ErrorIs(t, err, state.ErrMissing)
	assert.Equal(t, &state.MissingError{ID: all[1].ID}, s.Commit(ctx, Turn(alice, all[1].ID)))
	assertChain(t, s, all[0])
}

func lastDeleted(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	for _, r := range chain(t, s, alice, 3) {
		require.NoError(t, s.Delete(ctx, alice, r.ID))
	}
	used, err := s.Usage(ctx)
	require.NoError(t, err)
	assert.Empty(t, used)
}

func committedAgain(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	first := commit(t, s, alice, "")
	second := commit(t, s, alice, first.ID)
	before, err := s.Usage(ctx)
	require.NoError(t, err)
	require.NoError(t, s.Commit(ctx, first))
	require.NoError(t, s.Commit(ctx, second))
	assertChain(t, s, first, second)
	after, err := s.Usage(ctx)
	require.NoError(t, err)
	assert.Equal(t, before, after)

	changed := *second
	changed.Status = state.Failed
	assert.ErrorIs(t, s.Commit(ctx, &changed), state.ErrConflict, "a status is final")
	assertChain(t, s, first, second)
}

func failedTurn(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	first := commit(t, s, alice, "")
	failed := Turn(alice, first.ID)
	failed.Status = state.Failed
	require.NoError(t, s.Commit(ctx, failed))
	_, err := s.Chain(ctx, alice, failed.ID, state.Bounds{})
	assert.Equal(t, &state.UnusableError{Status: state.Failed}, err)
	assert.ErrorIs(t, err, state.ErrUnusable)
	assertChain(t, s, first, commit(t, s, alice, first.ID))
}

func expiry(t *testing.T, s state.Store, c *clock) {
	ctx := context.Background()
	var all []*state.Record
	parent := ""
	for range 10 { // each within the time of the one before
		r := Turn(alice, parent)
		r.TTL = 48 * time.Hour
		require.NoError(t, s.Commit(ctx, r))
		all, parent = append(all, r), r.ID
		c.advance(24 * time.Hour)
		swept, err := s.Sweep(ctx, c.now(), 100)
		require.NoError(t, err)
		assert.Zero(t, swept)
	}
	assertChain(t, s, all...)
	c.advance(24*time.Hour - time.Second)
	swept, err := s.Sweep(ctx, c.now(), 100)
	require.NoError(t, err)
	assert.Zero(t, swept, "its time is not over")
	c.advance(all[0].Slack() + 2*time.Second)
	swept, err = s.Sweep(ctx, c.now(), 100)
	require.NoError(t, err)
	assert.Equal(t, state.Swept{Removed: state.Removed{Responses: 10}}, swept)
	for _, r := range all {
		_, err := s.Get(ctx, alice, r.ID)
		assert.ErrorIs(t, err, state.ErrNotFound)
	}
	assert.Equal(t, &state.MissingError{ID: parent}, s.Commit(ctx, Turn(alice, parent)))
}

func lessTime(t *testing.T, s state.Store, c *clock) {
	ctx := context.Background()
	first := Turn(alice, "")
	first.TTL = 1000 * time.Hour
	require.NoError(t, s.Commit(ctx, first))
	second := Turn(alice, first.ID)
	second.TTL = time.Hour
	require.NoError(t, s.Commit(ctx, second))
	c.advance(2 * time.Hour)
	swept, err := s.Sweep(ctx, c.now(), 100)
	require.NoError(t, err)
	assert.Equal(t, state.Swept{Removed: state.Removed{Responses: 2}}, swept)
}

func sweeping(t *testing.T, s state.Store, c *clock) {
	ctx := context.Background()
	for range 5 {
		chain(t, s, alice, 2)
	}
	c.advance(2 * time.Hour)
	young := commit(t, s, alice, "")
	var removed, steps int
	for more := true; more; steps++ {
		swept, err := s.Sweep(ctx, c.now(), 2)
		require.NoError(t, err)
		removed += swept.Responses
		more = swept.More
		require.Less(t, steps, 10)
	}
	assert.Equal(t, 10, removed)
	assert.Equal(t, 3, steps)
	assertChain(t, s, young)
}

func stays(t *testing.T, s state.Store, c *clock) {
	r := Turn(alice, "")
	r.TTL = 0
	require.NoError(t, s.Commit(context.Background(), r))
	c.advance(100 * 365 * 24 * time.Hour)
	swept, err := s.Sweep(context.Background(), c.now(), 100)
	require.NoError(t, err)
	assert.Zero(t, swept)
	assertChain(t, s, r)
}

func purge(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	his, mine := chain(t, s, alice, 3), chain(t, s, bob, 2)
	commit(t, s, alice, "")
	n, err := s.Purge(ctx, alice)
	require.NoError(t, err)
	assert.Equal(t, state.Removed{Responses: 4}, n)
	for _, r := range his {
		_, err := s.Get(ctx, alice, r.ID)
		assert.ErrorIs(t, err, state.ErrNotFound)
	}
	assertChain(t, s, mine...)
	used, err := s.Usage(ctx)
	require.NoError(t, err)
	assert.NotContains(t, used, alice)
	n, err = s.Purge(ctx, alice)
	require.NoError(t, err)
	assert.Zero(t, n)
}

func export(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	want := map[string]*state.Record{}
	for range 3 {
		for _, r := range chain(t, s, alice, 3) {
			want[r.ID] = r
		}
	}
	commit(t, s, bob, "")
	first := Turn(alice, "")
	first.Created = first.Created.Add(-time.Hour)
	require.NoError(t, s.Commit(ctx, first))
	want[first.ID] = first
	var got []*state.Record
	require.NoError(t, s.Export(ctx, alice, func(r *state.Record) error {
		got = append(got, r)
		return nil
	}))
	require.Len(t, got, len(want))
	assert.Equal(t, first.ID, got[0].ID)
	for _, r := range got {
		assert.Equal(t, want[r.ID].AppendResource(nil), r.AppendResource(nil))
		assert.Equal(t, want[r.ID].Input, r.Input)
	}
	enough := errors.New("enough")
	assert.ErrorIs(t, s.Export(ctx, alice, func(*state.Record) error { return enough }), enough)
}

func usage(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	his := chain(t, s, alice, 3)
	commit(t, s, bob, "")
	used, err := s.Usage(ctx)
	require.NoError(t, err)
	assert.Len(t, used, 2)
	assert.Equal(t, 3, used[alice].Responses)
	assert.Equal(t, 1, used[bob].Responses)
	assert.Equal(t, used[alice].Bytes, 3*used[bob].Bytes)
	assert.GreaterOrEqual(t, used[bob].Bytes, int64(his[0].Bytes()))
	require.NoError(t, s.Delete(ctx, alice, his[2].ID))
	used, err = s.Usage(ctx)
	require.NoError(t, err)
	assert.Equal(t, state.Used{Responses: 2, Bytes: 2 * used[bob].Bytes}, used[alice])
}

func ownCopies(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	r := commit(t, s, alice, "")
	want := string(r.AppendResource(nil))
	clear(r.Shell)
	for range 2 {
		got, err := s.Get(ctx, alice, r.ID)
		require.NoError(t, err)
		assert.Equal(t, want, string(got.AppendResource(nil)))
		got.Input = append(got.Input, "more"...)
		clear(got.Output)
		turns, err := s.Chain(ctx, alice, r.ID, state.Bounds{})
		require.NoError(t, err)
		assert.Equal(t, string(r.Output), string(turns[0].Output))
		_ = append(turns[0].Input, "more"...)
		assert.Equal(t, string(r.Output), string(turns[0].Output))
		clear(turns[0].Output)
	}
}

func atOnce(t *testing.T, s state.Store, _ *clock) {
	var chats sync.WaitGroup
	for chat := range byte(16) {
		chats.Go(func() {
			owner := state.Owner{3, chat % 4}
			var all []*state.Record
			parent := ""
			for turn := range 20 {
				r := Turn(owner, parent)
				if !assert.NoError(t, s.Commit(context.Background(), r)) {
					return
				}
				all, parent = append(all, r), r.ID
				turns, err := s.Chain(context.Background(), owner, parent, state.Bounds{})
				if !assert.NoError(t, err) || !assert.Len(t, turns, turn+1) {
					return
				}
				for i := range turns {
					assert.Equal(t, all[i].ID, turns[i].ID)
				}
			}
		})
	}
	chats.Wait()
}

func cancelled(t *testing.T, s state.Store, _ *clock) {
	r := commit(t, s, alice, "")
	for _, cause := range []error{nil, errors.New("the client has left")} {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(cause)
		_, err := s.Chain(ctx, alice, r.ID, state.Bounds{})
		for _, err := range []error{err, s.Commit(ctx, Turn(alice, r.ID)), s.Delete(ctx, alice, r.ID)} {
			assert.ErrorIs(t, err, state.ErrUnavailable)
			assert.ErrorIs(t, err, context.Canceled, "who has left, for whatever cause, says nothing of the store")
		}
	}
	assertChain(t, s, r)
}

func badRecords(t *testing.T, s state.Store, _ *clock) {
	for name, change := range map[string]func(*state.Record){
		"no id":         func(r *state.Record) { r.ID = "" },
		"another id":    func(r *state.Record) { r.ID = "resp_abc" },
		"parent":        func(r *state.Record) { r.Parent = "A" },
		"cut":           func(r *state.Record) { r.Cut = len(r.Shell) + 1 },
		"cut below":     func(r *state.Record) { r.Cut = -1 },
		"not ended":     func(r *state.Record) { r.Status = 1 },
		"status, other": func(r *state.Record) { r.Status = 6 },
	} {
		r := Turn(alice, "")
		change(r)
		assert.Error(t, s.Commit(context.Background(), r), name)
	}
	used, err := s.Usage(context.Background())
	require.NoError(t, err)
	assert.Empty(t, used)
}

func closed(t *testing.T, s state.Store, c *clock) {
	ctx := context.Background()
	assert.NoError(t, s.Ready(ctx))
	r := commit(t, s, alice, "")
	require.NoError(t, s.Close())
	assert.ErrorIs(t, s.Ready(ctx), state.ErrUnavailable)
	assert.ErrorIs(t, s.Commit(ctx, r), state.ErrUnavailable)
	_, err := s.Sweep(ctx, c.now(), 1)
	assert.ErrorIs(t, err, state.ErrUnavailable)
	_, err = s.Purge(ctx, alice)
	assert.ErrorIs(t, err, state.ErrUnavailable)
	_, err = s.Usage(ctx)
	assert.ErrorIs(t, err, state.ErrUnavailable)
	assert.ErrorIs(t, s.Export(ctx, alice, nil), state.ErrUnavailable)
	assert.NoError(t, s.Close(), "closing again changes nothing")
}
