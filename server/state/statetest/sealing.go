package statetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"antwort/server/state"
	"antwort/server/state/packed"
	"antwort/shared/seal"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Database is a store, and the database below it.
type Database struct {
	Store  state.Store
	Texts  *packed.Packer // the store's
	Prefix string         // of the tables' names
	// Exec carries out a statement in the database, past the store.
	Exec func(t testing.TB, statement string)
	// Files are those of the database that contain a text, with all that was written.
	Files func(t testing.TB, text string) []string
}

// Keys makes a sealer of keys, each of which is told by its letter; none is nil.
func Keys(letters string) *seal.Sealer {
	if letters == "" {
		return nil
	}
	var keys [][]byte
	for _, letter := range []byte(letters) {
		keys = append(keys, bytes.Repeat([]byte{letter}, seal.KeySize))
	}
	return seal.New(keys, func(b []byte) { _, _ = rand.Read(b) })
}

// Sealed are texts that are sealed.
func Sealed() *packed.Packer {
	texts := new(packed.Packer)
	texts.Use(Keys("a"), true)
	return texts
}

// Sealing holds a store that seals what it holds against all that is expected of it.
func Sealing(t *testing.T, open func(t testing.TB) *Database) {
	for name, test := range map[string]func(*testing.T, *Database){
		"no text is in the database":                           noText,
		"what is swapped between rows does not open":           swapped,
		"keys are changed while old rows are there":            rotated,
		"it is turned on and off with rows there":              turnedOnAndOff,
		"what no key opens is never as if it was not there":    unreadable,
		"a job that no key opens holds up no other":            unreadableJob,
		"what no key opens can be deleted, purged and counted": unreadableGoes,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// everything puts a text into each column that holds some, as it is and so long that it
// is compressed.
func everything(t *testing.T, s state.Store, mark string) (job *state.Job, c *state.Conversation) {
	t.Helper()
	ctx := context.Background()
	for _, text := range []string{mark, strings.Repeat(mark+", and so on. ", 500)} {
		r := Turn(alice, "")
		r.Input, r.Output, r.Shell, r.Cut = []byte(`["`+text+` in"]`), []byte(`["`+text+` out"]`), []byte(`{"`+text+` shell"}`), 0
		require.NoError(t, s.Commit(ctx, r))
		job = Job(alice, r.ID)
		job.Request, job.Events.Data = []byte(text+" request"), []byte(text+" event 0\n\nevent 1\n\n")
		require.NoError(t, s.Accept(ctx, job, 0))
		claimed := claim(t, s, job.ID, lease)
		require.NoError(t, s.Append(ctx, claimed.Lease, state.Events{First: 2, Last: 2, Data: []byte(text + " event 2\n\n")}))
		c = &state.Conversation{ID: NewID(), Owner: alice, Created: r.Created, Metadata: []byte(`{"a":"` + text + ` metadata"}`)}
		first := state.Batch{ID: NewID(), Items: []state.Item{{ID: "one", Data: []byte(`"` + text + ` item 1"`)}, {ID: "two", Data: []byte(`"` + text + ` item 2"`)}}}
		require.NoError(t, s.CreateConversation(ctx, c, first))
		_, err := s.SetMetadata(ctx, alice, c.ID, []byte(`{"b":"`+text+` metadata"}`))
		require.NoError(t, err)
		lock(t, s, c, "holder")
		joined := turnOf(c, "holder", "three")
		joined.Joins.Items[0].Data = []byte(`"` + text + ` item 3"`)
		require.NoError(t, s.Commit(ctx, joined))
	}
	return job, c
}

// readEverything expects what everything has put there.
func readEverything(t *testing.T, s state.Store, mark string, job *state.Job, c *state.Conversation) {
	t.Helper()
	ctx := context.Background()
	before, err := s.Get(ctx, alice, job.Parent)
	require.NoError(t, err)
	after, err := s.Get(ctx, alice, job.ID)
	require.NoError(t, err)
	log, err := s.Events(ctx, alice, job.ID, -1)
	require.NoError(t, err)
	require.Len(t, log.Batches, 2)
	conversation, err := s.GetConversation(ctx, alice, c.ID)
	require.NoError(t, err)
	items, _, err := s.Items(ctx, alice, c.ID, state.Span{Ascending: true})
	require.NoError(t, err)
	require.Len(t, items, 3)
	item, err := s.Item(ctx, alice, c.ID, "two")
	require.NoError(t, err)
	for _, text := range [][]byte{before.Input, before.Output, before.Shell, log.Batches[0].Data, log.Batches[1].Data, conversation.Metadata, items[0].Data, items[2].Data, item} {
		assert.Contains(t, string(text), mark)
	}
	assert.Equal(t, job.Shell, after.Shell)
}

// unread are the ways to what everything has put there, of which each is ErrUnreadable.
func unread(t *testing.T, s state.Store, job *state.Job, c *state.Conversation) {
	t.Helper()
	ctx := context.Background()
	for name, read := range map[string]func() error{
		"get":    func() error { _, err := s.Get(ctx, alice, job.Parent); return err },
		"chain":  func() error { _, err := s.Chain(ctx, alice, job.Parent, state.Bounds{}); return err },
		"events": func() error { _, err := s.Events(ctx, alice, job.ID, -1); return err },
		"cancel": func() error {
			_, err := s.Cancel(ctx, alice, job.ID, func(*state.Record, []state.Events) []byte { return nil })
			return err
		},
		"conversation": func() error { _, err := s.GetConversation(ctx, alice, c.ID); return err },
		"items":        func() error { _, _, err := s.Items(ctx, alice, c.ID, state.Span{}); return err },
		"item":         func() error { _, err := s.Item(ctx, alice, c.ID, "one"); return err },
		"export":       func() error { return s.Export(ctx, alice, func(*state.Record) error { return nil }) },
		"conversations": func() error {
			return state.EachConversation(ctx, s, alice, func(*state.Conversation, []state.Item) error { return nil })
		},
	} {
		err := read()
		assert.ErrorIs(t, err, state.ErrUnreadable, name)
		assert.NotErrorIs(t, err, state.ErrUnavailable, "the store is there for others: %s", name)
	}
	assert.NoError(t, s.Ready(ctx))
}

func noText(t *testing.T, db *Database) {
	db.Texts.Use(nil, false)
	everything(t, db.Store, "mArKeR")
	require.NotEmpty(t, db.Files(t, "mArKeR"), "unsealed it is there")
	db.Texts.Use(Keys("a"), true)
	job, c := everything(t, db.Store, "HuShHuSh")
	assert.Empty(t, db.Files(t, "HuShHuSh"))
	readEverything(t, db.Store, "HuShHuSh", job, c)
}

func swapped(t *testing.T, db *Database) {
	ctx := context.Background()
	mine, other := commit(t, db.Store, alice, ""), commit(t, db.Store, alice, "")
	swap := func(to, from string) {
		t.Helper()
		db.Exec(t, "UPDATE "+db.Prefix+"responses SET "+to+" = (SELECT "+from+" FROM "+db.Prefix+"responses WHERE id = '"+other.ID+"') WHERE id = '"+mine.ID+"'")
	}
	for _, column := range []string{"input", "output", "shell"} {
		again := Turn(alice, "")
		require.NoError(t, db.Store.Commit(ctx, again))
		mine = again
		swap(column, column)
		_, err := db.Store.Get(ctx, alice, mine.ID)
		assert.ErrorIs(t, err, state.ErrUnreadable, column)
		_, err = db.Store.Get(ctx, alice, other.ID)
		assert.NoError(t, err)
	}
	mine = commit(t, db.Store, alice, "")
	db.Exec(t, "UPDATE "+db.Prefix+"responses SET input = output WHERE id = '"+mine.ID+"'")
	_, err := db.Store.Get(ctx, alice, mine.ID)
	assert.ErrorIs(t, err, state.ErrUnreadable, "another column")
	c := Conversation(t, db.Store, alice, "one", "two")
	db.Exec(t, "UPDATE "+db.Prefix+"items SET id = 'three' WHERE id = 'one'")
	_, err = db.Store.Item(ctx, alice, c.ID, "two")
	assert.NoError(t, err)
	_, err = db.Store.Item(ctx, alice, c.ID, "three")
	assert.ErrorIs(t, err, state.ErrUnreadable, "another item's place")
	job := accept(t, db.Store, alice, "")
	db.Exec(t, "UPDATE "+db.Prefix+"events SET first = 1, last = 2 WHERE response = '"+job.ID+"'")
	_, err = db.Store.Events(ctx, alice, job.ID, -1)
	assert.ErrorIs(t, err, state.ErrUnreadable, "other events' place")
	db.Exec(t, "UPDATE "+db.Prefix+"responses SET owner = (SELECT owner FROM "+db.Prefix+"responses WHERE id = '"+commit(t, db.Store, bob, "").ID+"')")
	_, err = db.Store.Get(ctx, bob, other.ID)
	assert.ErrorIs(t, err, state.ErrUnreadable, "another owner's")
}

func rotated(t *testing.T, db *Database) {
	old, oldConversation := everything(t, db.Store, "first")
	db.Texts.Use(Keys("ab"), true) // everybody has the new one
	db.Texts.Use(Keys("ba"), true)
	fresh, freshConversation := everything(t, db.Store, "second")
	readEverything(t, db.Store, "first", old, oldConversation)
	readEverything(t, db.Store, "second", fresh, freshConversation)
	next := commit(t, db.Store, alice, old.Parent)
	turns, err := db.Store.Chain(context.Background(), alice, next.ID, state.Bounds{})
	require.NoError(t, err)
	require.Len(t, turns, 2)
	db.Texts.Use(Keys("b"), true)
	unread(t, db.Store, old, oldConversation)
	readEverything(t, db.Store, "second", fresh, freshConversation)
}

func turnedOnAndOff(t *testing.T, db *Database) {
	db.Texts.Use(nil, false)
	plain, plainConversation := everything(t, db.Store, "plain")
	db.Texts.Use(Keys("a"), true)
	sealed, sealedConversation := everything(t, db.Store, "sealed")
	db.Texts.Use(Keys("a"), false)
	later, laterConversation := everything(t, db.Store, "lAtEr")
	assert.NotEmpty(t, db.Files(t, "lAtEr"), "it is off")
	readEverything(t, db.Store, "plain", plain, plainConversation)
	readEverything(t, db.Store, "sealed", sealed, sealedConversation)
	readEverything(t, db.Store, "lAtEr", later, laterConversation)
	db.Texts.Use(nil, false)
	unread(t, db.Store, sealed, sealedConversation)
	readEverything(t, db.Store, "plain", plain, plainConversation)
}

func unreadable(t *testing.T, db *Database) {
	ctx := context.Background()
	first := commit(t, db.Store, alice, "")
	db.Texts.Use(Keys("b"), true)
	second := commit(t, db.Store, alice, first.ID)
	_, err := db.Store.Chain(ctx, alice, second.ID, state.Bounds{})
	assert.ErrorIs(t, err, state.ErrUnreadable, "a history is never shortened")
	_, err = db.Store.Get(ctx, alice, second.ID)
	assert.NoError(t, err)
	_, err = db.Store.Get(ctx, bob, first.ID)
	assert.ErrorIs(t, err, state.ErrNotFound, "somebody else learns nothing of it")
	db.Texts.Use(Keys("ba"), true)
	assertChain(t, db.Store, first, second)
}

func unreadableJob(t *testing.T, db *Database) {
	ctx := context.Background()
	lost := accept(t, db.Store, alice, "")
	db.Texts.Use(Keys("b"), true)
	good := Job(alice, "")
	good.Created = good.Created.Add(time.Second)
	require.NoError(t, db.Store.Accept(ctx, good, 0))
	_, err := db.Store.Claim(ctx, lease)
	require.ErrorIs(t, err, state.ErrUnreadable)
	claim(t, db.Store, good.ID, lease)
	_, err = db.Store.Get(ctx, alice, good.ID)
	assert.NoError(t, err)
	db.Texts.Use(Keys("ba"), true)
	db.Exec(t, "UPDATE "+db.Prefix+"responses SET lease_until = 0 WHERE id = '"+lost.ID+"'")
	claim(t, db.Store, lost.ID, lease)
}

func unreadableGoes(t *testing.T, db *Database) {
	ctx := context.Background()
	job, c := everything(t, db.Store, "text")
	db.Texts.Use(Keys("b"), true)
	before, err := db.Store.Usage(ctx)
	require.NoError(t, err)
	assert.Equal(t, 6, before[alice].Responses)
	require.NoError(t, db.Store.Delete(ctx, alice, job.ID))
	require.NoError(t, db.Store.DeleteConversation(ctx, alice, c.ID))
	removed, err := db.Store.Purge(ctx, alice)
	require.NoError(t, err)
	assert.Equal(t, state.Removed{Responses: 4, Conversations: 1}, removed)
}
