package statetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"antwort/server/state"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lease is one that does not lapse by itself in a test, and brief one that does: the
// clock of a database is its own.
const (
	lease = time.Minute
	brief = 20 * time.Millisecond
)

// Job makes a job whose events are told, with two of them.
func Job(owner state.Owner, parent string) *state.Job {
	r := Turn(owner, parent)
	r.Status, r.Flags, r.Output, r.Replay = state.Queued, state.Background|state.Streamed, []byte("[]"), time.Minute
	return &state.Job{
		Record: *r, Request: []byte(`{"do":"` + r.ID + `","what":"` + strings.Repeat("again and ", 200) + `"}`),
		Events: state.Events{First: 0, Last: 1, Data: []byte("event 0\n\nevent 1\n\n")},
	}
}

// accept makes a job and has it accepted.
func accept(t testing.TB, s state.Store, owner state.Owner, parent string) *state.Job {
	t.Helper()
	j := Job(owner, parent)
	require.NoError(t, s.Accept(context.Background(), j, 0))
	return j
}

// claim claims the job, which must be the next.
func claim(t testing.TB, s state.Store, id string, d time.Duration) *state.Job {
	t.Helper()
	j, err := s.Claim(context.Background(), d)
	require.NoError(t, err)
	require.Equal(t, id, j.ID)
	return j
}

// events are those of these numbers.
func events(first, last int64) state.Events {
	e := state.Events{First: first, Last: last}
	for i := first; i <= last; i++ {
		e.Data = fmt.Appendf(e.Data, "event %d\n\n", i)
	}
	return e
}

// ended is the record that a job ends as.
func ended(j *state.Job, status state.Status) *state.Record {
	r := j.Record
	r.Status, r.Output, r.TTL, r.Replay = status, []byte(`[{"out":"`+j.ID+`"}]`), time.Hour, time.Minute
	return &r
}

// log reads the whole log.
func log(t testing.TB, s state.Store, owner state.Owner, id string, after int64) (text string, ended bool) {
	t.Helper()
	for {
		l, err := s.Events(context.Background(), owner, id, after)
		require.NoError(t, err)
		require.False(t, l.Expired)
		for _, b := range l.Batches {
			text += string(b.Data)
			require.Greater(t, b.Last, after)
			after = b.Last
		}
		if !l.More {
			return text, l.Ended()
		}
	}
}

// jobTests are what every store does with jobs.
var jobTests = map[string]func(*testing.T, state.Store, *clock){
	"a job is accepted, claimed and finished":          jobLife,
	"a job that has not ended is not continued":        jobUnusable,
	"the oldest job is claimed first, and by one only": claimedOnce,
	"a queue is full": queueFull,
	"a lapsed lease is another's, and its work is void":  lapsed,
	"a lease that is renewed does not lapse":             renewed,
	"a lease that was given back counts as no try":       released,
	"a log is read from any event":                       logs,
	"a log goes after its time":                          logExpires,
	"a job is cancelled":                                 jobCancelled,
	"cancelling and finishing have one winner":           cancelOrFinish,
	"a job belongs to its owner":                         jobOwners,
	"a job that is deleted is lost to its worker":        jobDeleted,
	"a thread with a job does not expire under its feet": jobStays,
	"what a job takes is counted, and no longer":         jobUsage,
	"accepting and finishing again are successes":        jobAgain,
	"a job that is none is refused":                      badJobs,
	"a closed store has no jobs":                         jobsClosed,
}

func jobLife(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	_, err := s.Claim(ctx, lease)
	require.ErrorIs(t, err, state.ErrNotFound)
	parent := commit(t, s, alice, "")
	j := accept(t, s, alice, parent.ID)
	n, err := s.Queued(ctx)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	got, err := s.Get(ctx, alice, j.ID)
	require.NoError(t, err)
	assert.Equal(t, state.Queued, got.Status)
	assert.Equal(t, j.AppendResource(nil), got.AppendResource(nil))

	c := claim(t, s, j.ID, lease)
	assert.Equal(t, j.Request, c.Request)
	assert.Equal(t, j.Input, c.Input)
	assert.Equal(t, j.Shell, c.Shell)
	assert.Equal(t, alice, c.Owner)
	assert.Equal(t, parent.ID, c.Parent)
	assert.Equal(t, state.InProgress, c.Status)
	assert.Equal(t, j.Flags, c.Flags)
	assert.True(t, j.Created.Equal(c.Created))
	assert.Equal(t, 1, c.Tries)
	assert.EqualValues(t, 2, c.Next)
	got, err = s.Get(ctx, alice, j.ID)
	require.NoError(t, err)
	assert.Equal(t, state.InProgress, got.Status)
	n, err = s.Queued(ctx)
	require.NoError(t, err)
	assert.Zero(t, n)

	require.NoError(t, s.Append(ctx, c.Lease, events(2, 4)))
	text, over := log(t, s, alice, j.ID, -1)
	assert.Equal(t, string(events(0, 4).Data), text)
	assert.False(t, over)
	r := ended(c, state.Completed)
	require.NoError(t, s.Finish(ctx, c.Lease, r, events(5, 6)))
	text, over = log(t, s, alice, j.ID, -1)
	assert.Equal(t, string(events(0, 6).Data), text)
	assert.True(t, over)
	got, err = s.Get(ctx, alice, j.ID)
	require.NoError(t, err)
	assert.Equal(t, state.Completed, got.Status)
	assert.Equal(t, r.AppendResource(nil), got.AppendResource(nil))
	assert.Equal(t, r.Input, got.Input)
	_, err = s.Claim(ctx, lease)
	assert.ErrorIs(t, err, state.ErrNotFound)
	assertChain(t, s, parent, r)
	assert.ErrorIs(t, s.Append(ctx, c.Lease, events(7, 7)), state.ErrLost)
	assert.ErrorIs(t, s.Release(ctx, c.Lease), state.ErrLost)
}

func jobUnusable(t *testing.T, s state.Store, _ *clock) {
	j := accept(t, s, alice, "")
	_, err := s.Chain(context.Background(), alice, j.ID, state.Bounds{})
	assert.Equal(t, &state.UnusableError{Status: state.Queued}, err)
	claim(t, s, j.ID, lease)
	_, err = s.Chain(context.Background(), alice, j.ID, state.Bounds{})
	assert.Equal(t, &state.UnusableError{Status: state.InProgress}, err)
}

func claimedOnce(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	const n = 40
	for i := range n {
		j := Job(state.Owner{byte(i % 3)}, "")
		j.Created = j.Created.Add(time.Duration(i) * time.Second)
		require.NoError(t, s.Accept(ctx, j, 0))
		if i == 0 {
			claim(t, s, j.ID, lease)
		}
	}
	var workers sync.WaitGroup
	var claimed sync.Map
	for range 8 {
		workers.Go(func() {
			last := time.Time{}
			for {
				j, err := s.Claim(ctx, lease)
				if errors.Is(err, state.ErrNotFound) {
					return
				}
				if !assert.NoError(t, err) {
					return
				}
				assert.True(t, j.Created.After(last), "the oldest first")
				last = j.Created
				_, twice := claimed.LoadOrStore(j.ID, true)
				assert.False(t, twice)
			}
		})
	}
	workers.Wait()
	count := 0
	claimed.Range(func(any, any) bool { count++; return true })
	assert.Equal(t, n-1, count)
}

func queueFull(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	first := Job(alice, "")
	require.NoError(t, s.Accept(ctx, first, 2))
	c := claim(t, s, first.ID, lease)
	second := Job(alice, "")
	require.NoError(t, s.Accept(ctx, second, 2))
	third := Job(alice, "")
	assert.ErrorIs(t, s.Accept(ctx, third, 2), state.ErrQueueFull)
	_, err := s.Get(ctx, alice, third.ID)
	assert.ErrorIs(t, err, state.ErrNotFound)
	assert.NoError(t, s.Accept(ctx, Job(bob, ""), 2), "others have room")
	assert.NoError(t, s.Accept(ctx, second, 2), "it is there")
	require.NoError(t, s.Finish(ctx, c.Lease, ended(c, state.Failed), state.Events{}))
	assert.NoError(t, s.Accept(ctx, third, 2))
}

// lapse waits until a brief lease has lapsed, and claims its job.
func lapse(t *testing.T, s state.Store, c *clock, d time.Duration) (j *state.Job) {
	t.Helper()
	c.advance(brief)
	require.Eventually(t, func() bool {
		var err error
		j, err = s.Claim(context.Background(), d)
		if !errors.Is(err, state.ErrNotFound) {
			require.NoError(t, err)
		}
		return err == nil
	}, 10*time.Second, time.Millisecond)
	return j
}

func lapsed(t *testing.T, s state.Store, c *clock) {
	ctx := context.Background()
	j := accept(t, s, alice, "")
	old := claim(t, s, j.ID, brief)
	require.NoError(t, s.Append(ctx, old.Lease, events(2, 2)))
	now := lapse(t, s, c, lease)
	assert.Equal(t, 2, now.Tries)
	assert.Greater(t, now.Lease.Attempt, old.Lease.Attempt)
	assert.EqualValues(t, 3, now.Next, "what was shown is known")
	assert.ErrorIs(t, s.Append(ctx, old.Lease, events(3, 3)), state.ErrLost)
	assert.ErrorIs(t, s.Finish(ctx, old.Lease, ended(old, state.Completed), events(3, 3)), state.ErrLost)
	assert.ErrorIs(t, s.Release(ctx, old.Lease), state.ErrLost)
	held, err := s.Renew(ctx, []state.Lease{old.Lease, now.Lease, {ID: NewID(), Attempt: 1}}, lease)
	require.NoError(t, err)
	assert.Equal(t, []state.Lease{now.Lease}, held)
	require.NoError(t, s.Finish(ctx, now.Lease, ended(now, state.Failed), events(3, 4)))
	assert.ErrorIs(t, s.Finish(ctx, old.Lease, ended(old, state.Completed), events(3, 3)), state.ErrLost)
	text, over := log(t, s, alice, j.ID, -1)
	assert.Equal(t, string(events(0, 4).Data), text)
	assert.True(t, over)
}

func renewed(t *testing.T, s state.Store, c *clock) {
	ctx := context.Background()
	j := accept(t, s, alice, "")
	one := claim(t, s, j.ID, time.Second)
	held, err := s.Renew(ctx, []state.Lease{one.Lease}, time.Hour)
	require.NoError(t, err)
	assert.Equal(t, []state.Lease{one.Lease}, held)
	c.advance(time.Minute)
	_, err = s.Claim(ctx, lease)
	assert.ErrorIs(t, err, state.ErrNotFound)
	held, err = s.Renew(ctx, nil, time.Hour)
	require.NoError(t, err)
	assert.Empty(t, held)
}

func released(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	j := accept(t, s, alice, "")
	one := claim(t, s, j.ID, lease)
	require.NoError(t, s.Release(ctx, one.Lease))
	assert.ErrorIs(t, s.Append(ctx, one.Lease, events(2, 2)), state.ErrLost)
	two := claim(t, s, j.ID, lease)
	assert.Equal(t, 1, two.Tries)
	assert.Greater(t, two.Lease.Attempt, one.Lease.Attempt)
	assert.Equal(t, j.Request, two.Request)
}

func logs(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := claim(t, s, accept(t, s, alice, "").ID, lease)
	const last = 2 + 3*int64(2*state.LogRows) - 1
	for i := int64(2); i < last; i += 3 {
		require.NoError(t, s.Append(ctx, c.Lease, events(i, i+2)))
	}
	require.NoError(t, s.Append(ctx, c.Lease, events(last-2, last)), "the same again")
	for after := int64(-1); after <= last; after++ {
		text, _ := log(t, s, alice, c.ID, after)
		first := after + 1
		switch {
		case first < 2:
			first = 0
		case first <= last:
			first -= (first - 2) % 3
		}
		assert.Equal(t, string(events(first, last).Data), text, "after %d", after)
	}
	_, err := s.Events(ctx, alice, NewID(), -1)
	assert.ErrorIs(t, err, state.ErrNotFound)
	_, err = s.Events(ctx, alice, "no id", -1)
	assert.ErrorIs(t, err, state.ErrNotFound)
}

func logExpires(t *testing.T, s state.Store, clock *clock) {
	ctx := context.Background()
	c := claim(t, s, accept(t, s, alice, "").ID, lease)
	clock.advance(30 * time.Minute)
	_, err := s.Sweep(ctx, clock.now(), 10)
	require.NoError(t, err)
	text, _ := log(t, s, alice, c.ID, -1)
	assert.Equal(t, string(events(0, 1).Data), text, "it has not ended")
	require.NoError(t, s.Finish(ctx, c.Lease, ended(c, state.Completed), events(2, 3)))
	clock.advance(59 * time.Second)
	_, over := log(t, s, alice, c.ID, 3)
	assert.True(t, over)
	clock.advance(2 * time.Second)
	for range 2 { // before and after it is swept
		l, err := s.Events(ctx, alice, c.ID, -1)
		require.NoError(t, err)
		assert.True(t, l.Expired)
		assert.Empty(t, l.Batches)
		before, err := s.Usage(ctx)
		require.NoError(t, err)
		_, err = s.Sweep(ctx, clock.now(), 10)
		require.NoError(t, err)
		after, err := s.Usage(ctx)
		require.NoError(t, err)
		assert.LessOrEqual(t, after[alice].Bytes, before[alice].Bytes)
	}
	_, err = s.Get(ctx, alice, c.ID)
	assert.NoError(t, err, "the response stays")
}

// endCancelled ends a job as cancelled.
func endCancelled(r *state.Record, log []state.Events) []byte {
	next := state.Next(log)
	r.Status, r.Output, r.TTL, r.Replay = state.Cancelled, []byte(`["`+r.ID+`"]`), time.Hour, time.Minute
	return events(next, next).Data
}

func jobCancelled(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	for _, running := range []bool{false, true} {
		j := accept(t, s, alice, "")
		var c *state.Job
		if running {
			c = claim(t, s, j.ID, lease)
			require.NoError(t, s.Append(ctx, c.Lease, events(2, 5)))
		}
		r, err := s.Cancel(ctx, alice, j.ID, endCancelled)
		require.NoError(t, err)
		assert.Equal(t, state.Cancelled, r.Status)
		assert.Equal(t, `["`+j.ID+`"]`, string(r.Output))
		got, err := s.Get(ctx, alice, j.ID)
		require.NoError(t, err)
		assert.Equal(t, r.AppendResource(nil), got.AppendResource(nil))
		assert.Equal(t, j.Input, got.Input)
		last := int64(2)
		if running {
			last = 6
			assert.ErrorIs(t, s.Append(ctx, c.Lease, events(6, 6)), state.ErrLost)
			assert.ErrorIs(t, s.Finish(ctx, c.Lease, ended(c, state.Completed), events(6, 6)), state.ErrLost)
			held, err := s.Renew(ctx, []state.Lease{c.Lease}, lease)
			require.NoError(t, err)
			assert.Empty(t, held)
		}
		text, over := log(t, s, alice, j.ID, -1)
		assert.Equal(t, string(events(0, last).Data), text)
		assert.True(t, over)
		again, err := s.Cancel(ctx, alice, j.ID, func(*state.Record, []state.Events) []byte {
			t.Error("it has ended")
			return nil
		})
		require.NoError(t, err)
		assert.Equal(t, got.AppendResource(nil), again.AppendResource(nil))
		turns, err := s.Chain(ctx, alice, j.ID, state.Bounds{})
		require.NoError(t, err)
		assert.Len(t, turns, 1)
	}
	_, err := s.Claim(ctx, lease)
	assert.ErrorIs(t, err, state.ErrNotFound)
	_, err = s.Cancel(ctx, alice, NewID(), endCancelled)
	assert.ErrorIs(t, err, state.ErrNotFound)
}

func cancelOrFinish(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	n := 200
	if testing.Short() {
		n = 50
	}
	var finished atomic.Int32
	for range n {
		c := claim(t, s, accept(t, s, alice, "").ID, lease)
		var both sync.WaitGroup
		both.Go(func() {
			switch err := s.Finish(ctx, c.Lease, ended(c, state.Completed), events(2, 2)); {
			case err == nil:
				finished.Add(1)
			default:
				assert.ErrorIs(t, err, state.ErrLost)
			}
		})
		var told *state.Record
		both.Go(func() {
			var err error
			told, err = s.Cancel(ctx, alice, c.ID, endCancelled)
			assert.NoError(t, err)
		})
		both.Wait()
		got, err := s.Get(ctx, alice, c.ID)
		require.NoError(t, err)
		require.Equal(t, told.Status, got.Status)
		require.Equal(t, told.AppendResource(nil), got.AppendResource(nil))
		text, over := log(t, s, alice, c.ID, -1)
		require.True(t, over)
		require.Equal(t, string(events(0, 2).Data), text)
	}
	t.Logf("%d of %d were finished", finished.Load(), n)
}

func jobOwners(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	j := accept(t, s, alice, "")
	_, unknown := s.Events(ctx, bob, NewID(), -1)
	_, err := s.Events(ctx, bob, j.ID, -1)
	assert.Equal(t, unknown, err)
	_, err = s.Cancel(ctx, bob, j.ID, endCancelled)
	assert.Equal(t, unknown, err)
	mine := Job(bob, "")
	mine.ID = j.ID
	assert.ErrorIs(t, s.Accept(ctx, mine, 0), state.ErrConflict)
	mine = Job(bob, j.ID)
	assert.Equal(t, &state.MissingError{ID: j.ID}, s.Accept(ctx, mine, 0))
	used, err := s.Usage(ctx)
	require.NoError(t, err)
	assert.NotContains(t, used, bob)
	claim(t, s, j.ID, lease)
}

func jobDeleted(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	for name, remove := range map[string]func(id string) error{
		"deleted": func(id string) error { return s.Delete(ctx, alice, id) },
		"purged": func(string) error {
			_, err := s.Purge(ctx, alice)
			return err
		},
	} {
		for _, running := range []bool{true, false} {
			j := accept(t, s, alice, "")
			if running {
				c := claim(t, s, j.ID, lease)
				require.NoError(t, remove(j.ID), name)
				assert.ErrorIs(t, s.Append(ctx, c.Lease, events(2, 2)), state.ErrLost)
				assert.ErrorIs(t, s.Finish(ctx, c.Lease, ended(c, state.Completed), events(2, 2)), state.ErrLost)
			} else {
				require.NoError(t, remove(j.ID), name)
			}
			_, err := s.Events(ctx, alice, j.ID, -1)
			assert.ErrorIs(t, err, state.ErrNotFound)
			_, err = s.Claim(ctx, lease)
			assert.ErrorIs(t, err, state.ErrNotFound)
			used, err := s.Usage(ctx)
			require.NoError(t, err)
			assert.Empty(t, used)
		}
	}
}

func jobStays(t *testing.T, s state.Store, clock *clock) {
	ctx := context.Background()
	first := commit(t, s, alice, "")
	c := claim(t, s, accept(t, s, alice, first.ID).ID, 100*time.Hour)
	clock.advance(3 * time.Hour)
	swept, err := s.Sweep(ctx, clock.now(), 10)
	require.NoError(t, err)
	assert.Equal(t, state.Swept{}, swept)
	require.NoError(t, s.Finish(ctx, c.Lease, ended(c, state.Completed), events(2, 2)))
	_, err = s.Sweep(ctx, clock.now(), 10)
	require.NoError(t, err)
	_, err = s.Get(ctx, alice, c.ID)
	assert.NoError(t, err, "its end is a turn")
	clock.advance(3 * time.Hour)
	swept, err = s.Sweep(ctx, clock.now(), 10)
	require.NoError(t, err)
	assert.Equal(t, 2, swept.Responses)
}

func jobUsage(t *testing.T, s state.Store, clock *clock) {
	ctx := context.Background()
	bytes := func() int64 {
		used, err := s.Usage(ctx)
		require.NoError(t, err)
		return used[alice].Bytes
	}
	r := commit(t, s, alice, "")
	alone := bytes()
	require.NoError(t, s.Delete(ctx, alice, r.ID))
	j := accept(t, s, alice, "")
	waits := bytes()
	assert.Greater(t, waits, alone, "with its request")
	c := claim(t, s, j.ID, lease)
	require.NoError(t, s.Append(ctx, c.Lease, events(2, 500)))
	assert.Greater(t, bytes(), waits, "with its log")
	done := ended(c, state.Completed)
	require.NoError(t, s.Finish(ctx, c.Lease, done, state.Events{}))
	clock.advance(2 * time.Minute)
	_, err := s.Sweep(ctx, clock.now(), 10)
	require.NoError(t, err)
	assert.Equal(t, alone, bytes(), "as any other")
	require.NoError(t, s.Delete(ctx, alice, j.ID))
	assert.Zero(t, bytes())
}

func jobAgain(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	j := accept(t, s, alice, "")
	before, err := s.Usage(ctx)
	require.NoError(t, err)
	require.NoError(t, s.Accept(ctx, j, 0))
	after, err := s.Usage(ctx)
	require.NoError(t, err)
	assert.Equal(t, before, after)
	c := claim(t, s, j.ID, lease)
	require.NoError(t, s.Accept(ctx, j, 0), "it has begun")
	r := ended(c, state.Incomplete)
	for range 2 {
		require.NoError(t, s.Finish(ctx, c.Lease, r, events(2, 3)))
	}
	assert.ErrorIs(t, s.Finish(ctx, c.Lease, ended(c, state.Failed), events(2, 3)), state.ErrLost, "a status is final")
	text, _ := log(t, s, alice, j.ID, -1)
	assert.Equal(t, string(events(0, 3).Data), text)
}

func badJobs(t *testing.T, s state.Store, _ *clock) {
	for name, change := range map[string]func(*state.Job){
		"ended":          func(j *state.Job) { j.Status = state.Completed },
		"has begun":      func(j *state.Job) { j.Status = state.InProgress },
		"not background": func(j *state.Job) { j.Flags = state.Streamed },
		"no id":          func(j *state.Job) { j.ID = "" },
	} {
		j := Job(alice, "")
		change(j)
		assert.Error(t, s.Accept(context.Background(), j, 0), name)
	}
	c := claim(t, s, accept(t, s, alice, "").ID, lease)
	assert.Error(t, s.Finish(context.Background(), c.Lease, ended(c, state.InProgress), state.Events{}))
}

func jobsClosed(t *testing.T, s state.Store, _ *clock) {
	ctx := context.Background()
	c := claim(t, s, accept(t, s, alice, "").ID, lease)
	require.NoError(t, s.Close())
	_, err := s.Claim(ctx, lease)
	assert.ErrorIs(t, err, state.ErrUnavailable)
	_, err = s.Renew(ctx, []state.Lease{c.Lease}, lease)
	assert.ErrorIs(t, err, state.ErrUnavailable)
	_, err = s.Events(ctx, alice, c.ID, -1)
	assert.ErrorIs(t, err, state.ErrUnavailable)
	_, err = s.Queued(ctx)
	assert.ErrorIs(t, err, state.ErrUnavailable)
	_, err = s.Cancel(ctx, alice, c.ID, endCancelled)
	assert.ErrorIs(t, err, state.ErrUnavailable)
	for _, err := range []error{
		s.Accept(ctx, Job(alice, ""), 0), s.Release(ctx, c.Lease), s.Append(ctx, c.Lease, events(2, 2)),
		s.Finish(ctx, c.Lease, ended(c, state.Completed), events(2, 2)),
	} {
		assert.ErrorIs(t, err, state.ErrUnavailable)
	}
}
