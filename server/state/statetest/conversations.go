package statetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"antwort/server/state"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// conversationTests are those of conversations.
var conversationTests = map[string]func(*testing.T, state.Store, *clock){
	"a conversation is read back as it was made":               conversationReadBack,
	"items stand in the order in which they came":              itemsInOrder,
	"items are added wholly or not":                            itemsWholly,
	"adding a batch again adds nothing":                        batchAgain,
	"an item is deleted":                                       itemDeleted,
	"a response adds its items and unlocks":                    joined,
	"committing to a conversation again adds nothing":          joinedAgain,
	"a response that adds nothing unlocks":                     joinedNothing,
	"a response that is discarded leaves its items":            joinedDiscarded,
	"a lock is one holder's":                                   locks,
	"a lock lapses":                                            lockLapses,
	"who has lost the lock adds nothing":                       lockLost,
	"of many who want the lock one at a time has it":           lockedInTurns,
	"a conversation goes as a whole":                           conversationDeleted,
	"a response of a conversation is not continued by itself":  conversedUnusable,
	"a conversation stays without its responses":               conversationWithoutResponses,
	"somebody else's conversation is as what never was":        conversationOwners,
	"a conversation expires after its time, or never":          conversationExpiry,
	"conversations are purged, exported and counted":           conversationsCounted,
	"a conversation's id that is none is not looked for":       conversationMalformed,
	"what was deleted or refused of a conversation counts not": conversationBytes,
	"a conversation of a closed store is unavailable":          conversationClosed,
	"what a conversation gives is the caller's":                conversationCopies,
}

// Conversation makes one with items of these ids.
func Conversation(t testing.TB, s state.Store, owner state.Owner, ids ...string) *state.Conversation {
	t.Helper()
	c := &state.Conversation{ID: NewID(), Owner: owner, Created: time.UnixMilli(1_800_000_000_456), Metadata: []byte(`{"a":"b"}`)}
	require.NoError(t, s.CreateConversation(context.Background(), c, batch(ids...)))
	return c
}

func batch(ids ...string) state.Batch {
	b := state.Batch{ID: NewID()}
	for _, id := range ids {
		b.Items = append(b.Items, state.Item{ID: id, Data: []byte(`{"id":"` + id + `"}`)})
	}
	return b
}

// turnOf makes the record of a response of a conversation, which adds items.
func turnOf(c *state.Conversation, holder string, ids ...string) *state.Record {
	r := Turn(c.Owner, "")
	r.Flags, r.TTL = state.Conversed, 0
	r.Joins = &state.Joins{Conversation: c.ID, Holder: holder, Items: batch(ids...).Items}
	return r
}

func lock(t testing.TB, s state.Store, c *state.Conversation, holder string) {
	t.Helper()
	require.NoError(t, s.Lock(context.Background(), c.Owner, c.ID, holder, time.Minute))
}

// assertItems expects these items, the oldest first.
func assertItems(t testing.TB, s state.Store, c *state.Conversation, ids ...string) {
	t.Helper()
	items, more, err := s.Items(context.Background(), c.Owner, c.ID, state.Span{Ascending: true})
	require.NoError(t, err)
	assert.False(t, more)
	assert.Equal(t, strings.Join(ids, " "), idsOf(items))
	for _, i := range items {
		assert.Equal(t, `{"id":"`+i.ID+`"}`, string(i.Data))
	}
}

func idsOf(items []state.Item) string {
	ids := make([]string, len(items))
	for i := range items {
		ids[i] = items[i].ID
	}
	return strings.Join(ids, " ")
}

func conversationReadBack(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice, "one", "two")
	same := func(got *state.Conversation, err error) {
		t.Helper()
		require.NoError(t, err)
		assert.True(t, c.Created.Equal(got.Created))
		got.Created = c.Created
		assert.Equal(t, c, got)
	}
	same(s.GetConversation(ctx, alice, c.ID))
	assertItems(t, s, c, "one", "two")
	require.NoError(t, s.CreateConversation(ctx, c, batch("one", "two")), "creating again is a success")
	assertItems(t, s, c, "one", "two")
	c.Metadata = []byte(`{"long":"` + strings.Repeat("x", 5000) + `"}`)
	same(s.SetMetadata(ctx, alice, c.ID, c.Metadata))
	same(s.GetConversation(ctx, alice, c.ID))

	other := *c
	other.Owner = bob
	assert.ErrorIs(t, s.CreateConversation(ctx, &other, state.Batch{}), state.ErrConflict)
	chain := commit(t, s, alice, "")
	other = *c
	other.ID = chain.ID
	err := s.CreateConversation(ctx, &other, state.Batch{})
	assert.True(t, err == nil || errors.Is(err, state.ErrConflict), "%v", err)
	assertChain(t, s, chain)
	assert.ErrorIs(t, s.CreateConversation(ctx, &state.Conversation{ID: NewID(), Owner: alice, Metadata: []byte("{}")}, batch("x", "x")), state.ErrDuplicate)

	large := &state.Conversation{ID: NewID(), Owner: alice, Created: c.Created, Metadata: []byte("{}")}
	text := strings.Repeat("and so on, ", 20_000)
	require.NoError(t, s.CreateConversation(ctx, large, state.Batch{ID: NewID(), Items: []state.Item{{ID: "large", Data: []byte(text)}}}))
	got, err := s.Item(ctx, alice, large.ID, "large")
	require.NoError(t, err)
	assert.Equal(t, text, string(got))
}

func itemsInOrder(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	var ids []string
	for i := range 45 {
		ids = append(ids, fmt.Sprintf("item_%d", i))
	}
	c := Conversation(t, s, alice, ids[:20]...)
	require.NoError(t, s.AddItems(ctx, alice, c.ID, batch(ids[20:40]...)))
	require.NoError(t, s.AddItems(ctx, alice, c.ID, batch(ids[40:]...)))
	assertItems(t, s, c, ids...)
	for _, ascending := range []bool{true, false} {
		var got []string
		span := state.Span{Limit: 20, Ascending: ascending}
		for more := true; more; {
			var items []state.Item
			var err error
			items, more, err = s.Items(ctx, alice, c.ID, span)
			require.NoError(t, err)
			for _, i := range items {
				got = append(got, i.ID)
			}
			span.After = got[len(got)-1]
		}
		assert.Len(t, got, 45)
		first := map[bool]string{true: ids[0], false: ids[44]}[ascending]
		assert.Equal(t, first, got[0])
		items, more, err := s.Items(ctx, alice, c.ID, span)
		require.NoError(t, err)
		assert.Empty(t, items, "after the last one")
		assert.False(t, more)
	}
	items, more, err := s.Items(ctx, alice, c.ID, state.Span{Limit: 45})
	require.NoError(t, err)
	assert.Len(t, items, 45)
	assert.False(t, more)
	size := int64(len(`{"id":"item_0"}`))
	for bytes, want := range map[int64]int{1: 1, size: 1, 2 * size: 2, 2*size + 1: 2} {
		items, more, err = s.Items(ctx, alice, c.ID, state.Span{Bytes: bytes, Ascending: true})
		require.NoError(t, err)
		assert.Len(t, items, want, "of %d bytes", bytes)
		assert.True(t, more)
	}
	_, _, err = s.Items(ctx, alice, c.ID, state.Span{After: "none"})
	assert.ErrorIs(t, err, state.ErrNoItem)
	data, err := s.Item(ctx, alice, c.ID, "item_7")
	require.NoError(t, err)
	assert.Equal(t, `{"id":"item_7"}`, string(data))
	_, err = s.Item(ctx, alice, c.ID, "none")
	assert.ErrorIs(t, err, state.ErrNoItem)
	another := Conversation(t, s, alice, ids[0])
	assertItems(t, s, another, ids[0])
	_, err = s.Item(ctx, alice, another.ID, "item_7")
	assert.ErrorIs(t, err, state.ErrNoItem, "it is in another one")
}

func itemsWholly(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice, "one")
	err := s.AddItems(ctx, alice, c.ID, batch("two", "one", "three"))
	assert.Equal(t, &state.DuplicateError{ID: "one"}, err)
	assert.Equal(t, &state.DuplicateError{ID: "two"}, s.AddItems(ctx, alice, c.ID, batch("two", "two")))
	assertItems(t, s, c, "one")
	require.NoError(t, s.AddItems(ctx, alice, c.ID, batch("two")))
	require.NoError(t, s.AddItems(ctx, alice, c.ID, batch()))
	assertItems(t, s, c, "one", "two")
}

func batchAgain(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice)
	b := batch("one", "two")
	for range 3 {
		require.NoError(t, s.AddItems(ctx, alice, c.ID, b))
	}
	assertItems(t, s, c, "one", "two")
	lock(t, s, c, "x")
	require.NoError(t, s.AddItems(ctx, alice, c.ID, b), "it was added before the lock")
}

func itemDeleted(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice, "one", "two", "three")
	got, err := s.DeleteItem(ctx, alice, c.ID, "two")
	require.NoError(t, err)
	assert.Equal(t, c.ID, got.ID)
	assert.Equal(t, c.Metadata, got.Metadata)
	assertItems(t, s, c, "one", "three")
	_, err = s.DeleteItem(ctx, alice, c.ID, "two")
	assert.ErrorIs(t, err, state.ErrNoItem)
	_, err = s.DeleteItem(ctx, alice, c.ID, "three")
	require.NoError(t, err)
	require.NoError(t, s.AddItems(ctx, alice, c.ID, batch("four", "two")))
	assertItems(t, s, c, "one", "four", "two")
}

func joined(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice, "zero")
	for i, status := range []state.Status{state.Completed, state.Incomplete} {
		holder := fmt.Sprint("turn", i)
		lock(t, s, c, holder)
		r := turnOf(c, holder, fmt.Sprint("in", i), fmt.Sprint("out", i))
		r.Status = status
		require.NoError(t, s.Commit(ctx, r))
		got, err := s.Get(ctx, alice, r.ID)
		require.NoError(t, err)
		assert.Equal(t, c.ID, got.Thread)
		assert.Equal(t, state.Conversed, got.Flags)
		assert.Equal(t, r.AppendResource(nil), got.AppendResource(nil))
	}
	assertItems(t, s, c, "zero", "in0", "out0", "in1", "out1")
	lock(t, s, c, "another")
}

func joinedAgain(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice)
	for i, discard := range []bool{false, true} {
		lock(t, s, c, "mine")
		r := turnOf(c, "mine", fmt.Sprint("in", i), fmt.Sprint("out", i))
		r.Joins.Discard = discard
		require.NoError(t, s.Commit(ctx, r))
		before, err := s.Usage(ctx)
		require.NoError(t, err)
		lock(t, s, c, "somebody")
		require.NoError(t, s.Commit(ctx, r), "as if nobody had told that it was")
		after, err := s.Usage(ctx)
		require.NoError(t, err)
		assert.Equal(t, before, after)
		assert.ErrorIs(t, s.Lock(ctx, alice, c.ID, "other", time.Minute), state.ErrLocked, "the lock is not taken away")
		require.NoError(t, s.Unlock(ctx, alice, c.ID, "somebody"))
	}
	assertItems(t, s, c, "in0", "out0", "in1", "out1")
}

func joinedNothing(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice, "zero")
	for _, status := range []state.Status{state.Failed, state.Cancelled} {
		for _, discard := range []bool{false, true} {
			lock(t, s, c, "mine")
			r := turnOf(c, "mine")
			r.Status, r.Joins.Discard = status, discard
			require.NoError(t, s.Commit(ctx, r))
			require.NoError(t, s.Lock(ctx, alice, c.ID, "other", time.Minute))
			require.NoError(t, s.Unlock(ctx, alice, c.ID, "other"))
			_, err := s.Get(ctx, alice, r.ID)
			assert.Equal(t, discard, errors.Is(err, state.ErrNotFound))
		}
	}
	assertItems(t, s, c, "zero")
}

func joinedDiscarded(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice)
	lock(t, s, c, "mine")
	r := turnOf(c, "mine", "in", "out")
	r.Joins.Discard = true
	require.NoError(t, s.Commit(ctx, r))
	_, err := s.Get(ctx, alice, r.ID)
	assert.ErrorIs(t, err, state.ErrNotFound)
	assertItems(t, s, c, "in", "out")
	lock(t, s, c, "other")
	used, err := s.Usage(ctx)
	require.NoError(t, err)
	assert.Zero(t, used[alice].Responses)
}

func locks(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c, free := Conversation(t, s, alice, "one"), Conversation(t, s, alice)
	lock(t, s, c, "mine")
	lock(t, s, c, "mine")
	assert.ErrorIs(t, s.Lock(ctx, alice, c.ID, "other", time.Minute), state.ErrLocked)
	assert.ErrorIs(t, s.AddItems(ctx, alice, c.ID, batch("two")), state.ErrLocked)
	_, err := s.DeleteItem(ctx, alice, c.ID, "one")
	assert.ErrorIs(t, err, state.ErrLocked)
	_, err = s.SetMetadata(ctx, alice, c.ID, []byte("{}"))
	assert.NoError(t, err, "what is said of it may change")
	assertItems(t, s, c, "one")
	require.NoError(t, s.AddItems(ctx, alice, free.ID, batch("two")))

	require.NoError(t, s.Unlock(ctx, alice, c.ID, "other"), "which it had not")
	assert.ErrorIs(t, s.Lock(ctx, alice, c.ID, "other", time.Minute), state.ErrLocked)
	assert.ErrorIs(t, s.RenewLock(ctx, alice, c.ID, "other", time.Minute), state.ErrLost)
	require.NoError(t, s.RenewLock(ctx, alice, c.ID, "mine", time.Minute))
	require.NoError(t, s.Unlock(ctx, alice, c.ID, "mine"))
	assert.ErrorIs(t, s.RenewLock(ctx, alice, c.ID, "mine", time.Minute), state.ErrLost, "it is nobody's")
	require.NoError(t, s.AddItems(ctx, alice, c.ID, batch("two")))
	lock(t, s, c, "other")
}

// lockedByOther waits until a lock of so long has lapsed, by whichever clock the store has.
func lockedByOther(t testing.TB, s state.Store, c *clock, conv *state.Conversation, lease time.Duration, holder string) {
	t.Helper()
	c.advance(lease)
	require.Eventually(t, func() bool {
		return s.Lock(context.Background(), conv.Owner, conv.ID, holder, time.Minute) == nil
	}, 10*time.Second, lease/10)
}

func lockLapses(t *testing.T, s state.Store, clk *clock) {
	const lease = 50 * time.Millisecond
	ctx := context.Background()
	c := Conversation(t, s, alice)
	require.NoError(t, s.Lock(ctx, alice, c.ID, "killed", lease))
	lockedByOther(t, s, clk, c, lease, "other")
	assert.ErrorIs(t, s.RenewLock(ctx, alice, c.ID, "killed", lease), state.ErrLost)
	require.NoError(t, s.Unlock(ctx, alice, c.ID, "killed"))
	assert.ErrorIs(t, s.Lock(ctx, alice, c.ID, "killed", lease), state.ErrLocked)
	require.NoError(t, s.RenewLock(ctx, alice, c.ID, "other", lease))
	clk.advance(lease)
	require.Eventually(t, func() bool { return s.AddItems(ctx, alice, c.ID, batch(NewID())) == nil }, 10*time.Second, lease/10, "nobody holds it")
	require.NoError(t, s.RenewLock(ctx, alice, c.ID, "other", time.Minute), "lapsed, but nobody else's")
	assert.ErrorIs(t, s.AddItems(ctx, alice, c.ID, batch(NewID())), state.ErrLocked)
}

func lockLost(t *testing.T, s state.Store, clk *clock) {
	const lease = 50 * time.Millisecond
	ctx := context.Background()
	c := Conversation(t, s, alice)
	require.NoError(t, s.Lock(ctx, alice, c.ID, "slow", lease))
	lockedByOther(t, s, clk, c, lease, "other")
	for _, discard := range []bool{false, true} {
		r := turnOf(c, "slow", "in", "out")
		r.Joins.Discard = discard
		assert.ErrorIs(t, s.Commit(ctx, r), state.ErrLost)
		_, err := s.Get(ctx, alice, r.ID)
		assert.ErrorIs(t, err, state.ErrNotFound)
	}
	failed := turnOf(c, "slow")
	failed.Status = state.Failed
	require.NoError(t, s.Commit(ctx, failed), "it adds nothing")
	assertItems(t, s, c)
	r := turnOf(c, "other", "a", "b")
	require.NoError(t, s.Commit(ctx, r), "the lock was not taken away")
	r = turnOf(c, "never", "c")
	assert.ErrorIs(t, s.Commit(ctx, r), state.ErrLost)
	lock(t, s, c, "again")
	assert.Equal(t, &state.DuplicateError{ID: "a"}, s.Commit(ctx, turnOf(c, "again", "new", "a")))
	assertItems(t, s, c, "a", "b")
}

// Twenty make a turn each, of five items, as soon as they have the lock: no turn is
// broken by another's.
func lockedInTurns(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice)
	var turns sync.WaitGroup
	for i := range 20 {
		turns.Go(func() {
			holder := fmt.Sprint("h", i)
			var ids []string
			for j := range 5 {
				ids = append(ids, fmt.Sprintf("t%d_%d", i, j))
			}
			for {
				err := s.Lock(ctx, alice, c.ID, holder, time.Minute)
				if errors.Is(err, state.ErrLocked) {
					time.Sleep(time.Millisecond)
					continue
				}
				if assert.NoError(t, err) {
					before, _, err := s.Items(ctx, alice, c.ID, state.Span{})
					assert.NoError(t, err)
					assert.Zero(t, len(before)%5)
					assert.NoError(t, s.Commit(ctx, turnOf(c, holder, ids...)))
				}
				return
			}
		})
	}
	turns.Wait()
	items, _, err := s.Items(ctx, alice, c.ID, state.Span{Ascending: true})
	require.NoError(t, err)
	require.Len(t, items, 100)
	for i, it := range items {
		first, _, _ := strings.Cut(items[i-i%5].ID, "_")
		assert.Equal(t, fmt.Sprintf("%s_%d", first, i%5), it.ID)
	}
}

func conversationDeleted(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c, stays := Conversation(t, s, alice, "one"), Conversation(t, s, alice, "one")
	lock(t, s, c, "mine")
	r := turnOf(c, "mine", "in", "out")
	require.NoError(t, s.Commit(ctx, r))
	lock(t, s, c, "mine")
	require.NoError(t, s.DeleteConversation(ctx, alice, c.ID), "locked or not")
	assert.ErrorIs(t, s.DeleteConversation(ctx, alice, c.ID), state.ErrNotFound)
	_, err := s.GetConversation(ctx, alice, c.ID)
	assert.ErrorIs(t, err, state.ErrNotFound)
	_, _, err = s.Items(ctx, alice, c.ID, state.Span{})
	assert.ErrorIs(t, err, state.ErrNotFound)
	_, err = s.Get(ctx, alice, r.ID)
	assert.ErrorIs(t, err, state.ErrNotFound)
	assert.ErrorIs(t, s.Commit(ctx, turnOf(c, "mine", "x")), state.ErrNotFound)
	assert.ErrorIs(t, s.Unlock(ctx, alice, c.ID, "mine"), state.ErrNotFound)
	assertItems(t, s, stays, "one")
}

func conversedUnusable(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice)
	lock(t, s, c, "mine")
	r := turnOf(c, "mine", "in", "out")
	require.NoError(t, s.Commit(ctx, r))
	_, err := s.Chain(ctx, alice, r.ID, state.Bounds{})
	assert.Equal(t, &state.UnusableError{Status: state.Completed, Conversed: true}, err)
	chain := commit(t, s, alice, "")
	_, err = s.GetConversation(ctx, alice, chain.ID)
	assert.ErrorIs(t, err, state.ErrNotFound, "a chain is none")
	assert.ErrorIs(t, s.DeleteConversation(ctx, alice, chain.ID), state.ErrNotFound)
	assert.ErrorIs(t, s.Lock(ctx, alice, chain.ID, "mine", time.Minute), state.ErrNotFound)
}

func conversationWithoutResponses(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice)
	lock(t, s, c, "mine")
	r := turnOf(c, "mine", "in", "out")
	require.NoError(t, s.Commit(ctx, r))
	require.NoError(t, s.Delete(ctx, alice, r.ID))
	assertItems(t, s, c, "in", "out")
}

func conversationOwners(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	his := Conversation(t, s, alice, "one")
	none := NewID()
	ask := func(id string) (all []error) {
		c := &state.Conversation{ID: id, Owner: bob}
		_, err := s.GetConversation(ctx, bob, id)
		all = append(all, err)
		_, err = s.SetMetadata(ctx, bob, id, []byte("{}"))
		all = append(all, err)
		_, _, err = s.Items(ctx, bob, id, state.Span{After: "one"})
		all = append(all, err)
		_, err = s.Item(ctx, bob, id, "one")
		all = append(all, err)
		_, err = s.DeleteItem(ctx, bob, id, "one")
		all = append(all, err, s.AddItems(ctx, bob, id, batch("two")), s.Lock(ctx, bob, id, "x", time.Minute), s.RenewLock(ctx, bob, id, "x", time.Minute),
			s.Unlock(ctx, bob, id, "x"), s.DeleteConversation(ctx, bob, id), s.Commit(ctx, turnOf(c, "x", "in")))
		return all
	}
	unknown := ask(none)
	for _, err := range unknown {
		assert.ErrorIs(t, err, state.ErrNotFound)
	}
	assert.Equal(t, unknown, ask(his.ID))
	assertItems(t, s, his, "one")
	ids, err := s.ConversationIDs(ctx, bob)
	require.NoError(t, err)
	assert.Empty(t, ids)
	used, err := s.Usage(ctx)
	require.NoError(t, err)
	assert.NotContains(t, used, bob)
}

func conversationExpiry(t *testing.T, s state.Store, clk *clock) {
	ctx := context.Background()
	stays := Conversation(t, s, alice, "one")
	c := &state.Conversation{ID: NewID(), Owner: alice, Created: time.UnixMilli(1), Metadata: []byte("{}")}
	b := batch("one")
	b.TTL = 48 * time.Hour
	require.NoError(t, s.CreateConversation(ctx, c, b))
	for range 5 {
		clk.advance(40 * time.Hour)
		swept, err := s.Sweep(ctx, clk.now(), 100)
		require.NoError(t, err)
		assert.Zero(t, swept)
		b := batch(NewID())
		b.TTL = 48 * time.Hour
		require.NoError(t, s.AddItems(ctx, alice, c.ID, b))
	}
	lock(t, s, c, "mine")
	r := turnOf(c, "mine", "in", "out")
	r.TTL = 48 * time.Hour
	require.NoError(t, s.Commit(ctx, r))
	clk.advance(48*time.Hour + b.Slack() + time.Second)
	swept, err := s.Sweep(ctx, clk.now(), 100)
	require.NoError(t, err)
	assert.Equal(t, state.Swept{Removed: state.Removed{Responses: 1, Conversations: 1}}, swept)
	_, err = s.Get(ctx, alice, r.ID)
	assert.ErrorIs(t, err, state.ErrNotFound)
	_, err = s.GetConversation(ctx, alice, c.ID)
	assert.ErrorIs(t, err, state.ErrNotFound)
	b = batch("y")
	b.TTL = time.Hour
	require.NoError(t, s.CreateConversation(ctx, c, b))
	clk.advance(3 * time.Hour)
	swept, err = s.Sweep(ctx, clk.now(), 100)
	require.NoError(t, err)
	assert.Equal(t, state.Swept{Removed: state.Removed{Conversations: 1}}, swept, "one without responses goes too")
	assertItems(t, s, stays, "one")
}

func conversationsCounted(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	first, second := Conversation(t, s, alice, "one"), Conversation(t, s, alice)
	mine := Conversation(t, s, bob, "one", "two")
	lock(t, s, first, "h")
	require.NoError(t, s.Commit(ctx, turnOf(first, "h", "in", "out")))
	commit(t, s, alice, "")
	used, err := s.Usage(ctx)
	require.NoError(t, err)
	assert.Equal(t, 2, used[alice].Responses)
	assert.Equal(t, 2, used[alice].Conversations)
	assert.Equal(t, 1, used[bob].Conversations)
	assert.Positive(t, used[bob].Bytes)
	ids, err := s.ConversationIDs(ctx, alice)
	require.NoError(t, err)
	assert.Equal(t, []string{first.ID, second.ID}, ids)
	var exported []string
	require.NoError(t, state.EachConversation(ctx, s, alice, func(c *state.Conversation, items []state.Item) error {
		exported = append(exported, c.ID+": "+idsOf(items))
		return nil
	}))
	assert.Equal(t, []string{first.ID + ": one in out", second.ID + ": "}, exported)
	responses := 0
	require.NoError(t, s.Export(ctx, alice, func(*state.Record) error {
		responses++
		return nil
	}))
	assert.Equal(t, 2, responses)
	removed, err := s.Purge(ctx, alice)
	require.NoError(t, err)
	assert.Equal(t, state.Removed{Responses: 2, Conversations: 2}, removed)
	_, err = s.GetConversation(ctx, alice, first.ID)
	assert.ErrorIs(t, err, state.ErrNotFound)
	assertItems(t, s, mine, "one", "two")
	used, err = s.Usage(ctx)
	require.NoError(t, err)
	assert.NotContains(t, used, alice)
}

func conversationBytes(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	bytes := func() int64 {
		used, err := s.Usage(ctx)
		require.NoError(t, err)
		return used[alice].Bytes
	}
	c := Conversation(t, s, alice)
	empty := bytes()
	require.NoError(t, s.AddItems(ctx, alice, c.ID, batch("one", "two")))
	two := bytes()
	assert.Greater(t, two, empty)
	assert.Error(t, s.AddItems(ctx, alice, c.ID, batch("three", "two")))
	assert.Error(t, s.Commit(ctx, turnOf(c, "nobody", "in")))
	assert.Equal(t, two, bytes())
	_, err := s.SetMetadata(ctx, alice, c.ID, []byte(`{"much":"`+strings.Repeat("more", 100)+`"}`))
	require.NoError(t, err)
	assert.Greater(t, bytes(), two)
	_, err = s.SetMetadata(ctx, alice, c.ID, c.Metadata)
	require.NoError(t, err)
	assert.Equal(t, two, bytes())
	for _, id := range []string{"one", "two"} {
		_, err = s.DeleteItem(ctx, alice, c.ID, id)
		require.NoError(t, err)
	}
	assert.Equal(t, empty, bytes())
	lock(t, s, c, "h")
	r := turnOf(c, "h")
	require.NoError(t, s.Commit(ctx, r))
	require.NoError(t, s.Delete(ctx, alice, r.ID))
	assert.Equal(t, empty, bytes())
	require.NoError(t, s.DeleteConversation(ctx, alice, c.ID))
	used, err := s.Usage(ctx)
	require.NoError(t, err)
	assert.Empty(t, used)
}

func conversationMalformed(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	require.NoError(t, s.Close())
	for _, id := range []string{"", "conv_abc", "ABC", "a'b", "a\x00b", strings.Repeat("a", 65)} {
		_, err := s.GetConversation(ctx, alice, id)
		assert.ErrorIs(t, err, state.ErrNotFound)
		_, _, err = s.Items(ctx, alice, id, state.Span{})
		assert.ErrorIs(t, err, state.ErrNotFound)
		_, err = s.Item(ctx, alice, id, "x")
		assert.ErrorIs(t, err, state.ErrNotFound)
		assert.ErrorIs(t, s.AddItems(ctx, alice, id, batch("x")), state.ErrNotFound)
		assert.ErrorIs(t, s.Lock(ctx, alice, id, "x", time.Minute), state.ErrNotFound)
		assert.ErrorIs(t, s.DeleteConversation(ctx, alice, id), state.ErrNotFound)
	}
}

func conversationClosed(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice, "one")
	require.NoError(t, s.Close())
	_, err := s.GetConversation(ctx, alice, c.ID)
	assert.ErrorIs(t, err, state.ErrUnavailable)
	_, _, err = s.Items(ctx, alice, c.ID, state.Span{})
	assert.ErrorIs(t, err, state.ErrUnavailable)
	assert.ErrorIs(t, s.CreateConversation(ctx, c, state.Batch{}), state.ErrUnavailable)
	assert.ErrorIs(t, s.AddItems(ctx, alice, c.ID, batch("two")), state.ErrUnavailable)
	assert.ErrorIs(t, s.Lock(ctx, alice, c.ID, "x", time.Minute), state.ErrUnavailable)
	assert.ErrorIs(t, s.Unlock(ctx, alice, c.ID, "x"), state.ErrUnavailable)
	assert.ErrorIs(t, s.Commit(ctx, turnOf(c, "x", "in")), state.ErrUnavailable)
	_, err = s.ConversationIDs(ctx, alice)
	assert.ErrorIs(t, err, state.ErrUnavailable)
}

func conversationCopies(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice, "one")
	for range 2 {
		got, err := s.GetConversation(ctx, alice, c.ID)
		require.NoError(t, err)
		assert.Equal(t, `{"a":"b"}`, string(got.Metadata))
		clear(got.Metadata)
		items, _, err := s.Items(ctx, alice, c.ID, state.Span{})
		require.NoError(t, err)
		assert.Equal(t, `{"id":"one"}`, string(items[0].Data))
		clear(items[0].Data)
		item, err := s.Item(ctx, alice, c.ID, "one")
		require.NoError(t, err)
		clear(item)
	}
	assertItems(t, s, c, "one")
}
