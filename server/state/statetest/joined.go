package statetest

import (
	"context"
	"testing"
	"time"

	"antwort/server/state"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var joinedTests = map[string]func(*testing.T, state.Store, *clock){
	"a job has its conversation until it has ended":         jobHoldsConversation,
	"a job adds its items as it ends":                       jobAddsItems,
	"a job that was cancelled or deleted frees":             jobFrees,
	"a job needs the lock of its conversation":              jobWithoutLock,
	"a job goes with its conversation":                      jobGoesWithConversation,
	"a job whose items are there already has added nothing": jobAddsTwice,
}

// joining makes a job of a conversation, and has it accepted.
func joining(t testing.TB, s state.Store, c *state.Conversation) *state.Job {
	t.Helper()
	j := joinedJob(c)
	lock(t, s, c, j.ID)
	require.NoError(t, s.Accept(context.Background(), j, 0))
	return j
}

func joinedJob(c *state.Conversation) *state.Job {
	j := Job(c.Owner, "")
	j.Flags |= state.Conversed
	j.TTL, j.Joins = 0, &state.Joins{Conversation: c.ID, Holder: j.ID}
	return j
}

// finished is how a job ends that adds these items.
func finished(j *state.Job, status state.Status, ids ...string) *state.Record {
	r := j.Record
	r.Status, r.Replay = status, time.Minute
	r.Joins = &state.Joins{Conversation: j.Thread, Holder: j.ID, Items: batch(ids...).Items}
	return &r
}

// free expects nobody to have the conversation.
func free(t testing.TB, s state.Store, c *state.Conversation) {
	t.Helper()
	require.NoError(t, s.AddItems(context.Background(), c.Owner, c.ID, batch()))
}

// taken expects somebody to have it.
func taken(t testing.TB, s state.Store, c *state.Conversation) {
	t.Helper()
	ctx := context.Background()
	require.ErrorIs(t, s.AddItems(ctx, c.Owner, c.ID, batch(NewID())), state.ErrLocked)
	require.ErrorIs(t, s.Lock(ctx, c.Owner, c.ID, "somebody", time.Minute), state.ErrLocked)
}

func jobHoldsConversation(t *testing.T, s state.Store, clk *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice, "one")
	j := joining(t, s, c)
	taken(t, s, c)
	clk.advance(1000 * time.Hour)
	taken(t, s, c)
	require.NoError(t, s.Accept(ctx, j, 0), "again")
	mine := claim(t, s, j.ID, lease)
	assert.Equal(t, c.ID, mine.Thread)
	assert.Equal(t, j.Flags, mine.Flags)
	require.NoError(t, s.Release(ctx, mine.Lease))
	taken(t, s, c)
	_, err := s.Chain(ctx, alice, j.ID, state.Bounds{})
	assert.ErrorIs(t, err, state.ErrUnusable)
	mine = claim(t, s, j.ID, lease)
	require.NoError(t, s.Finish(ctx, mine.Lease, finished(mine, state.Failed), events(2, 2)))
	free(t, s, c)
	assertItems(t, s, c, "one")
}

func jobAddsItems(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice, "one")
	before, err := s.Usage(ctx)
	require.NoError(t, err)
	mine := claim(t, s, joining(t, s, c).ID, lease)
	end := finished(mine, state.Completed, "two", "three")
	require.NoError(t, s.Finish(ctx, mine.Lease, end, events(2, 3)))
	assertItems(t, s, c, "one", "two", "three")
	free(t, s, c)
	require.NoError(t, s.Finish(ctx, mine.Lease, end, events(2, 3)), "again")
	assertItems(t, s, c, "one", "two", "three")
	got, err := s.Get(ctx, alice, mine.ID)
	require.NoError(t, err)
	assert.Equal(t, state.Completed, got.Status)
	assert.Equal(t, c.ID, got.Thread)
	next := turnOf(c, "holder", "four")
	lock(t, s, c, "holder")
	require.NoError(t, s.Commit(ctx, next))
	assertItems(t, s, c, "one", "two", "three", "four")
	require.NoError(t, s.DeleteConversation(ctx, alice, c.ID))
	after, err := s.Usage(ctx)
	require.NoError(t, err)
	assert.Equal(t, 1, before[alice].Conversations)
	assert.Zero(t, after[alice])
}

func jobFrees(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice, "one")
	for _, running := range []bool{false, true} {
		for what, end := range map[string]func(id string) error{
			"cancel": func(id string) error {
				_, err := s.Cancel(ctx, alice, id, func(r *state.Record, _ []state.Events) []byte {
					r.Status = state.Cancelled
					return []byte("cancelled\n\n")
				})
				return err
			},
			"delete": func(id string) error { return s.Delete(ctx, alice, id) },
		} {
			j := joining(t, s, c)
			mine := &state.Job{}
			if running {
				mine = claim(t, s, j.ID, lease)
			}
			taken(t, s, c)
			require.NoError(t, end(j.ID), what)
			free(t, s, c)
			if running {
				assert.ErrorIs(t, s.Finish(ctx, mine.Lease, finished(mine, state.Completed, "late"), state.Events{}), state.ErrLost, what)
			}
			lock(t, s, c, "next")
			require.NoError(t, s.Unlock(ctx, alice, c.ID, "next"))
			assertItems(t, s, c, "one")
		}
	}
}

func jobWithoutLock(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice, "one")
	j := joinedJob(c)
	assert.ErrorIs(t, s.Accept(ctx, j, 0), state.ErrLost, "nobody has it")
	lock(t, s, c, "somebody")
	assert.ErrorIs(t, s.Accept(ctx, j, 0), state.ErrLost, "somebody else has it")
	_, err := s.Get(ctx, alice, j.ID)
	assert.ErrorIs(t, err, state.ErrNotFound)
	his := joinedJob(&state.Conversation{ID: c.ID, Owner: bob})
	assert.ErrorIs(t, s.Accept(ctx, his, 0), state.ErrNotFound)
	gone := joinedJob(&state.Conversation{ID: NewID(), Owner: alice})
	assert.ErrorIs(t, s.Accept(ctx, gone, 0), state.ErrNotFound)
	other := joinedJob(c)
	other.Joins.Holder = "somebody"
	assert.Error(t, s.Accept(ctx, other, 0), "a job holds it by its own id")
}

func jobGoesWithConversation(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice, "one")
	mine := claim(t, s, joining(t, s, c).ID, lease)
	require.NoError(t, s.DeleteConversation(ctx, alice, c.ID))
	assert.ErrorIs(t, s.Append(ctx, mine.Lease, events(2, 2)), state.ErrLost)
	assert.ErrorIs(t, s.Finish(ctx, mine.Lease, finished(mine, state.Completed, "two"), state.Events{}), state.ErrLost)
	_, err := s.Claim(ctx, lease)
	assert.ErrorIs(t, err, state.ErrNotFound)
}

func jobAddsTwice(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := Conversation(t, s, alice, "one")
	mine := claim(t, s, joining(t, s, c).ID, lease)
	err := s.Finish(ctx, mine.Lease, finished(mine, state.Completed, "two", "one"), events(2, 2))
	assert.Equal(t, &state.DuplicateError{ID: "one"}, err)
	taken(t, s, c)
	log, err := s.Events(ctx, alice, mine.ID, 1)
	require.NoError(t, err)
	assert.Empty(t, log.Batches)
	require.NoError(t, s.Finish(ctx, mine.Lease, finished(mine, state.Failed), events(2, 2)))
	free(t, s, c)
	assertItems(t, s, c, "one")
}
