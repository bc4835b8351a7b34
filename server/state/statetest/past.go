package statetest

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"antwort/server/state"
	"antwort/server/state/packed"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// kinds are what stores keep, each since a version of their tables, the first of which is 1:
// responses, jobs, conversations, keys.
var kinds = []struct{ keep, kept func(testing.TB, state.Store) }{
	{keepResponses, keptResponses}, {keepJobs, keptJobs}, {keepConversations, keptConversations}, {keepKeys, keptKeys},
}

// Past holds a store against what earlier versions have kept. Each file of its testdata is
// that: rows that Keep has made in an empty store with the last code of a version, which its
// name begins with, as statements. A step that is added to the migrations needs such a file
// of the version before. open makes a store of rows in tables of a version; texts is nil
// where they are not sealed.
func Past(t *testing.T, latest int, open func(t *testing.T, version int, rows string, texts *packed.Packer) state.Store) {
	files, err := filepath.Glob("testdata/*.sql")
	require.NoError(t, err)
	var versions []int
	for _, name := range files {
		rows, err := os.ReadFile(name)
		require.NoError(t, err)
		name = strings.TrimSuffix(filepath.Base(name), ".sql")
		number, sealed, _ := strings.Cut(name, "-")
		version, err := strconv.Atoi(number)
		require.NoError(t, err)
		versions = append(versions, version)
		t.Run(name, func(t *testing.T) {
			var texts *packed.Packer
			if sealed != "" {
				texts = Sealed()
			}
			Kept(t, open(t, version, string(rows), texts), version)
		})
	}
	for version := 1; version < latest; version++ {
		require.Contains(t, versions, version, "of each version there is something")
	}
}

// Keep puts something of each kind into an empty store.
func Keep(t testing.TB, s state.Store) {
	for _, kind := range kinds {
		kind.keep(t, s)
	}
}

// Kept expects what Keep has put into a store whose tables had a version, and that what is
// since then can be kept there too.
func Kept(t testing.TB, s state.Store, version int) {
	for _, kind := range kinds[version:] {
		kind.keep(t, s)
	}
	for _, kind := range kinds {
		kind.kept(t, s)
	}
}

// past is a response that was kept once. Its texts are so long that they are compressed where
// the id says it.
func past(id, parent string, minute int) *state.Record {
	return &state.Record{
		ID: id, Owner: alice, Parent: parent, Status: state.Completed, Created: time.UnixMilli(1_790_000_000_000).Add(time.Duration(minute) * time.Minute),
		Input: words("input", id), Output: words("output", id), Shell: []byte(`{"id":"resp_` + id + `","output":}`), Cut: len(`{"id":"resp_","output":`) + len(id),
	}
}

func words(what, id string) []byte {
	text := what + " of " + id
	if strings.Contains(id, "long") {
		text = strings.Repeat(text+", and so on. ", 100)
	}
	return []byte(`["` + text + `"]`)
}

// pastResponses are those of alice, in the order in which they came.
func pastResponses() []*state.Record {
	fork, broken, failed, brief := past("fork", "twolong", 4), past("broken", "", 5), past("failed", "", 6), past("brief", "", 7)
	fork.Status, fork.Flags, broken.Status, failed.Status, brief.TTL = state.Cancelled, state.Streamed, state.Incomplete, state.Failed, time.Hour
	return []*state.Record{past("one", "", 1), past("twolong", "one", 2), past("three", "twolong", 3), fork, broken, failed, brief, past("gone", "", 8), past("orphan", "gone", 9)}
}

func keepResponses(t testing.TB, s state.Store) {
	for _, r := range pastResponses() {
		require.NoError(t, s.Commit(context.Background(), r))
	}
	require.NoError(t, s.Delete(context.Background(), alice, "gone"))
	his := past("bobs", "", 10)
	his.Owner = bob
	require.NoError(t, s.Commit(context.Background(), his))
}

func same(t testing.TB, want, got *state.Record) {
	t.Helper()
	assert.Equal(t, [3]string{want.ID, want.Parent, string(want.Input)}, [3]string{got.ID, got.Parent, string(got.Input)})
	assert.Equal(t, want.Status, got.Status, want.ID)
	assert.Equal(t, want.Flags, got.Flags, want.ID)
	assert.True(t, want.Created.Equal(got.Created), want.ID)
	assert.Equal(t, string(want.AppendResource(nil)), string(got.AppendResource(nil)))
}

func keptResponses(t testing.TB, s state.Store) {
	ctx := context.Background()
	exported := map[string]*state.Record{}
	require.NoError(t, s.Export(ctx, alice, func(r *state.Record) error { exported[r.ID] = r; return nil }))
	all := map[string]*state.Record{}
	for _, r := range pastResponses() {
		if r.ID == "gone" {
			_, err := s.Get(ctx, alice, r.ID)
			require.ErrorIs(t, err, state.ErrNotFound)
			continue
		}
		all[r.ID] = r
		got, err := s.Get(ctx, alice, r.ID)
		require.NoError(t, err)
		same(t, r, got)
		require.Contains(t, exported, r.ID)
		same(t, r, exported[r.ID])
	}
	for last, chain := range map[string][]string{"three": {"one", "twolong", "three"}, "fork": {"one", "twolong", "fork"}, "broken": {"broken"}} {
		turns, err := s.Chain(ctx, alice, last, state.Bounds{Depth: 3, Bytes: 1 << 20})
		require.NoError(t, err, last)
		require.Len(t, turns, len(chain))
		for i, id := range chain {
			require.Equal(t, state.Turn{ID: id, Status: all[id].Status, Flags: all[id].Flags, Input: all[id].Input, Output: all[id].Output}, turns[i])
		}
	}
	_, err := s.Chain(ctx, alice, "failed", state.Bounds{})
	require.ErrorIs(t, err, state.ErrUnusable)
	_, err = s.Chain(ctx, alice, "orphan", state.Bounds{})
	require.Equal(t, &state.MissingError{ID: "gone"}, err)
	for owner, found := range map[state.Owner]error{alice: state.ErrNotFound, bob: nil} {
		_, err := s.Get(ctx, owner, "bobs")
		require.ErrorIs(t, err, found)
	}
	next := past("fourlong", "three", 11)
	require.NoError(t, s.Commit(ctx, next))
	turns, err := s.Chain(ctx, alice, "fourlong", state.Bounds{})
	require.NoError(t, err)
	require.Len(t, turns, 4, "it goes on")
	require.NoError(t, s.Delete(ctx, alice, "fourlong"))
	swept, err := s.Sweep(ctx, time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), 100)
	require.NoError(t, err)
	require.Equal(t, state.Removed{Responses: 1}, swept.Removed)
	_, err = s.Get(ctx, alice, "brief")
	require.ErrorIs(t, err, state.ErrNotFound, "it is the one that has expired")
	require.NoError(t, s.Commit(ctx, all["brief"]))
}

// ages is longer than any test's data gets old.
const ages = 200 * 365 * 24 * time.Hour

func pastJob(id string, minute int, flags state.Flags) *state.Job {
	j := &state.Job{Record: *past(id, "", minute), Request: words("request", id)}
	j.Status, j.Flags, j.Output, j.Replay = state.Queued, flags, []byte("[]"), ages
	if flags.Logs() {
		j.Events = events(0, 1)
	}
	return j
}

func keepJobs(t testing.TB, s state.Store) {
	ctx := context.Background()
	took := func(j *state.Job, d time.Duration) state.Lease {
		require.NoError(t, s.Accept(ctx, j, 0))
		got, err := s.Claim(ctx, d)
		require.NoError(t, err)
		require.Equal(t, j.ID, got.ID)
		return got.Lease
	}
	ended := pastJob("jobended", 20, state.Background|state.Streamed)
	lease := took(ended, time.Hour)
	require.NoError(t, s.Append(ctx, lease, events(2, 3)))
	result := ended.Record
	result.Status, result.Output = state.Completed, words("output", ended.ID)
	require.NoError(t, s.Finish(ctx, lease, &result, events(4, 5)))
	cancelled := pastJob("jobcancelled", 21, state.Background)
	require.NoError(t, s.Accept(ctx, cancelled, 0))
	_, err := s.Cancel(ctx, alice, cancelled.ID, func(r *state.Record, _ []state.Events) []byte {
		r.Status, r.Replay = state.Cancelled, ages
		return nil
	})
	require.NoError(t, err)
	lease = took(pastJob("jobleftlong", 22, state.Background|state.Streamed), time.Millisecond)
	require.NoError(t, s.Append(ctx, lease, events(2, 3)))
	require.NoError(t, s.Accept(ctx, pastJob("jobquietlong", 23, state.Background), 0))
	require.NoError(t, s.Accept(ctx, pastJob("jobtold", 24, state.Background|state.Streamed), 0))
}

func keptJobs(t testing.TB, s state.Store) {
	ctx := context.Background()
	n, err := s.Queued(ctx)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	for id, status := range map[string]state.Status{"jobended": state.Completed, "jobcancelled": state.Cancelled, "jobleftlong": state.InProgress, "jobquietlong": state.Queued, "jobtold": state.Queued} {
		got, err := s.Get(ctx, alice, id)
		require.NoError(t, err)
		require.Equal(t, status, got.Status, id)
		require.Equal(t, string(words("input", id)), string(got.Input))
	}
	got, err := s.Get(ctx, alice, "jobended")
	require.NoError(t, err)
	require.Equal(t, string(words("output", "jobended")), string(got.Output))
	wholeLog := func(id string, last int64, isOver bool) {
		text, over := log(t, s, alice, id, -1)
		require.Equal(t, string(events(0, last).Data), text, id)
		require.Equal(t, isOver, over, id)
	}
	wholeLog("jobended", 5, true)
	wholeLog("jobleftlong", 3, false)
	for i, want := range []struct {
		id    string
		flags state.Flags
		tries int
		next  int64
	}{{"jobleftlong", state.Background | state.Streamed, 2, 4}, {"jobquietlong", state.Background, 1, 0}, {"jobtold", state.Background | state.Streamed, 1, 2}} {
		var j *state.Job
		require.Eventually(t, func() bool { // what was claimed just now is another's after a moment
			j, err = s.Claim(ctx, time.Hour)
			return err == nil && j.ID == want.id || i > 0
		}, time.Minute, time.Millisecond, want.id)
		require.NoError(t, err)
		require.Equal(t, want.id, j.ID)
		require.Equal(t, string(words("request", want.id)), string(j.Request))
		require.Equal(t, want.tries, j.Tries, want.id)
		require.Equal(t, want.next, j.Next, want.id)
		result := past(want.id, "", 22+i)
		result.Status, result.Flags, result.Replay = state.Completed, want.flags, ages
		var last state.Events
		if want.flags.Logs() {
			last = events(want.next, want.next+1)
		}
		require.NoError(t, s.Finish(ctx, j.Lease, result, last))
		if want.flags.Logs() {
			wholeLog(want.id, want.next+1, true)
		}
		got, err := s.Get(ctx, alice, want.id)
		require.NoError(t, err)
		same(t, result, got)
		turns, err := s.Chain(ctx, alice, want.id, state.Bounds{})
		require.NoError(t, err)
		require.Len(t, turns, 1)
	}
}

func item(id string) state.Item { return state.Item{ID: id, Data: words("data", id)} }

func keepConversations(t testing.TB, s state.Store) {
	ctx := context.Background()
	create := func(id, metadata string, minute int, items ...state.Item) {
		c := &state.Conversation{ID: id, Owner: alice, Created: past(id, "", minute).Created, Metadata: []byte(metadata)}
		require.NoError(t, s.CreateConversation(ctx, c, state.Batch{ID: "first" + id, Items: items}))
	}
	create("talk", `{"topic":"names"}`, 30, item("a"), item("blong"))
	require.NoError(t, s.AddItems(ctx, alice, "talk", state.Batch{ID: "second", Items: []state.Item{item("c")}}))
	_, err := s.DeleteItem(ctx, alice, "talk", "a")
	require.NoError(t, err)
	require.NoError(t, s.Lock(ctx, alice, "talk", "holder", time.Hour))
	r := past("joinedlong", "", 31)
	r.Flags, r.Joins = state.Conversed, &state.Joins{Conversation: "talk", Holder: "holder", Items: []state.Item{item("d"), item("elong")}}
	require.NoError(t, s.Commit(ctx, r))
	create("empty", `{}`, 32)
	create("locked", `{"long":"`+strings.Repeat("metadata, ", 200)+`"}`, 33, item("f"))
	require.NoError(t, s.Lock(ctx, alice, "locked", "dead", time.Millisecond))
}

func keptConversations(t testing.TB, s state.Store) {
	ctx := context.Background()
	ids, err := s.ConversationIDs(ctx, alice)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"talk", "empty", "locked"}, ids)
	for id, metadata := range map[string]string{"talk": `{"topic":"names"}`, "empty": `{}`, "locked": `{"long":"` + strings.Repeat("metadata, ", 200) + `"}`} {
		c, err := s.GetConversation(ctx, alice, id)
		require.NoError(t, err)
		require.Equal(t, metadata, string(c.Metadata))
		_, err = s.GetConversation(ctx, bob, id)
		require.ErrorIs(t, err, state.ErrNotFound)
	}
	has := func(id string, want ...string) {
		items, more, err := s.Items(ctx, alice, id, state.Span{Ascending: true})
		require.NoError(t, err)
		require.False(t, more)
		require.Len(t, items, len(want), id)
		for i, name := range want {
			require.Equal(t, item(name), items[i])
		}
	}
	has("talk", "blong", "c", "d", "elong")
	has("empty")
	data, err := s.Item(ctx, alice, "talk", "elong")
	require.NoError(t, err)
	require.Equal(t, string(item("elong").Data), string(data))
	joined, err := s.Get(ctx, alice, "joinedlong")
	require.NoError(t, err)
	want := past("joinedlong", "", 31)
	want.Flags = state.Conversed
	same(t, want, joined)
	require.Equal(t, "talk", joined.Thread)
	_, err = s.Chain(ctx, alice, "joinedlong", state.Bounds{})
	require.ErrorIs(t, err, state.ErrUnusable)

	require.NoError(t, s.AddItems(ctx, alice, "talk", state.Batch{ID: "third", Items: []state.Item{item("g")}}))
	has("talk", "blong", "c", "d", "elong", "g")
	require.ErrorIs(t, s.AddItems(ctx, alice, "talk", state.Batch{ID: "fourth", Items: []state.Item{item("c")}}), state.ErrDuplicate)
	require.Eventually(t, func() bool { return s.Lock(ctx, alice, "locked", "holder", time.Hour) == nil }, time.Minute, time.Millisecond)
	has("locked", "f")
	require.NoError(t, s.DeleteConversation(ctx, alice, "talk"))
	_, err = s.Get(ctx, alice, "joinedlong")
	require.ErrorIs(t, err, state.ErrNotFound)
}

func pastKey() []byte { return bytes.Repeat([]byte("K"), 32) }

func keepKeys(t testing.TB, s state.Store) {
	key, err := s.Key(context.Background(), "compaction", pastKey())
	require.NoError(t, err)
	require.Equal(t, pastKey(), key)
}

func keptKeys(t testing.TB, s state.Store) {
	key, err := s.Key(context.Background(), "compaction", bytes.Repeat([]byte("L"), 32))
	require.NoError(t, err)
	require.Equal(t, pastKey(), key)
}
