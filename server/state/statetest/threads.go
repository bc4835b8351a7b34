package statetest

import (
	"context"
	"testing"
	"time"

	"antwort/server/state"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// threadTests are about looking at what an owner has.
var threadTests = map[string]func(*testing.T, state.Store, *clock){
	"threads are listed, the newest first":              threadsInOrder,
	"a thread's responses are listed in their order":    threadResponses,
	"a thread goes as a whole":                          threadDeleted,
	"somebody else's threads are as what never were":    threadsOfOthers,
	"a conversation is a thread with its responses":     conversationThread,
	"a thread whose first response is gone can be read": headless,
}

// turnAt commits a turn of a time.
func turnAt(t *testing.T, s state.Store, owner state.Owner, parent string, at int64) *state.Record {
	t.Helper()
	r := Turn(owner, parent)
	r.Created = time.UnixMilli(at)
	require.NoError(t, s.Commit(context.Background(), r))
	return r
}

func threadsInOrder(t *testing.T, s state.Store, c *clock) {
	ctx := context.Background()
	none, more, err := s.Threads(ctx, alice, state.Place{}, 10)
	require.NoError(t, err)
	require.Empty(t, none)
	require.False(t, more)
	var ids []string
	for i := range 7 {
		r := turnAt(t, s, alice, "", 1_800_000_000_000+int64(i/2)) // two at a time
		ids = append([]string{r.ID}, ids...)
	}
	turnAt(t, s, alice, ids[0], 1_900_000_000_000) // which does not make its thread newer
	forever := Turn(alice, "")
	forever.Created, forever.TTL = time.UnixMilli(1_700_000_000_000), 0
	require.NoError(t, s.Commit(ctx, forever))
	var found []state.Thread
	for after := (state.Place{}); ; {
		page, more, err := s.Threads(ctx, alice, after, 3)
		require.NoError(t, err)
		found = append(found, page...)
		if !more {
			break
		}
		require.Len(t, page, 3)
		after = page[2].Place
	}
	require.Len(t, found, 8)
	for i, id := range append(ids, forever.ID) {
		assert.Equal(t, id, found[i].ID)
		assert.False(t, found[i].Conversation)
		assert.Positive(t, found[i].Bytes)
	}
	assert.Equal(t, 2, found[0].Responses)
	assert.Equal(t, 1, found[1].Responses)
	assert.Equal(t, int64(1_800_000_000_003), found[0].Created.UnixMilli())
	assert.False(t, found[0].Expires.Before(c.now().Add(time.Hour)))
	assert.Zero(t, found[7].Expires, "it never expires")
}

// responsesOf are all of a thread, read in pages.
func responsesOf(t *testing.T, s state.Store, owner state.Owner, thread string, limit int) (ids []string) {
	t.Helper()
	for after := (state.Place{}); ; {
		page, more, err := s.Responses(context.Background(), owner, thread, after, limit)
		require.NoError(t, err)
		for _, p := range page {
			ids = append(ids, p.ID)
		}
		if !more {
			return ids
		}
		require.Len(t, page, limit)
		after = page[limit-1]
	}
}

func threadResponses(t *testing.T, s state.Store, _ *clock) {
	all := chain(t, s, alice, 5)
	fork := turnAt(t, s, alice, all[1].ID, 1_700_000_000_000)
	want := []string{fork.ID}
	for _, r := range all {
		want = append(want, r.ID)
	}
	require.Equal(t, want, responsesOf(t, s, alice, all[0].ID, 2))
	require.Equal(t, want, responsesOf(t, s, alice, all[0].ID, 6))
	require.Empty(t, responsesOf(t, s, alice, all[1].ID, 2), "no thread begins with it")
	require.Empty(t, responsesOf(t, s, alice, "none", 2))
}

func threadDeleted(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	all, other := chain(t, s, alice, 3), chain(t, s, alice, 1)
	require.ErrorIs(t, s.DeleteThread(ctx, alice, all[1].ID), state.ErrNotFound)
	require.NoError(t, s.DeleteThread(ctx, alice, all[0].ID))
	require.ErrorIs(t, s.DeleteThread(ctx, alice, all[0].ID), state.ErrNotFound)
	for _, r := range all {
		_, err := s.Get(ctx, alice, r.ID)
		require.ErrorIs(t, err, state.ErrNotFound)
	}
	assertChain(t, s, other...)
	used, err := s.Usage(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, used[alice].Responses)
}

func threadsOfOthers(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	all := chain(t, s, alice, 2)
	threads, _, err := s.Threads(ctx, bob, state.Place{}, 10)
	require.NoError(t, err)
	require.Empty(t, threads)
	require.Empty(t, responsesOf(t, s, bob, all[0].ID, 10))
	require.ErrorIs(t, s.DeleteThread(ctx, bob, all[0].ID), state.ErrNotFound)
	assertChain(t, s, all...)
}

func conversationThread(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := &state.Conversation{ID: NewID(), Owner: alice, Created: time.UnixMilli(1_800_000_000_500), Metadata: []byte("{}")}
	require.NoError(t, s.CreateConversation(ctx, c, state.Batch{ID: NewID(), TTL: time.Hour, Items: []state.Item{{ID: "msg_1", Data: []byte("{}")}}}))
	threads, more, err := s.Threads(ctx, alice, state.Place{}, 1)
	require.NoError(t, err)
	require.False(t, more)
	require.Len(t, threads, 1)
	assert.Equal(t, c.ID, threads[0].ID)
	assert.True(t, threads[0].Conversation)
	assert.Zero(t, threads[0].Responses)
	assert.Equal(t, c.Created.UnixMilli(), threads[0].Created.UnixMilli())
	require.Empty(t, responsesOf(t, s, alice, c.ID, 10))
	holder := NewID()
	require.NoError(t, s.Lock(ctx, alice, c.ID, holder, time.Hour))
	r := Turn(alice, "")
	r.Flags |= state.Conversed
	r.Joins = &state.Joins{Conversation: c.ID, Holder: holder}
	require.NoError(t, s.Commit(ctx, r))
	require.Equal(t, []string{r.ID}, responsesOf(t, s, alice, c.ID, 10))
	require.NoError(t, s.DeleteThread(ctx, alice, c.ID))
	_, err = s.GetConversation(ctx, alice, c.ID)
	require.ErrorIs(t, err, state.ErrNotFound)
	_, err = s.Get(ctx, alice, r.ID)
	require.ErrorIs(t, err, state.ErrNotFound)
}

func headless(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	all := chain(t, s, alice, 2)
	require.NoError(t, s.Delete(ctx, alice, all[0].ID))
	require.Equal(t, []string{all[1].ID}, responsesOf(t, s, alice, all[0].ID, 10))
	require.NoError(t, s.DeleteThread(ctx, alice, all[0].ID))
	_, err := s.Get(ctx, alice, all[1].ID)
	require.ErrorIs(t, err, state.ErrNotFound)
}
