// Package memory keeps responses in the process, and forgets them with it.
//
//	Commit ─► room for it: the threads used longest ago go, whole ─► blocks outside of Go's heap
//	Chain, Get ─► a copy of what is in the blocks
//
// What it takes of the system's memory is what it was given and little more: the
// content lies in blocks that the collector does not see, as half of a heap is
// garbage that waits.
package memory

import (
	"bytes"
	"container/heap"
	"container/list"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"antwort/server/state"
)

// Options are what a store of memory is made with.
type Options struct {
	MaxBytes int64            // of all content, with what it takes to find it
	Now      func() time.Time // nil: time.Now
}

// Store keeps responses in memory.
type Store struct {
	max int64
	now func() time.Time

	mu            sync.Mutex
	closed        bool
	conversations map[string]*thread
	blocks        blocks
	bytes         int64 // of all threads
	responses     map[string]*response
	threads       *list.List // of *thread, the one used longest ago in front
	expiring      expiring
	owners        map[state.Owner]*owned
	jobs          jobs
	keys          map[string][]byte
}

// response is one response and where its content is.
type response struct {
	id, parent           string
	thread               *thread
	depth                int
	status               state.Status
	flags                state.Flags
	created              int64 // in milliseconds
	input, output, shell int   // sizes
	cut                  int
	at                   []uint32  // blocks
	job                  *job      // nil: it was never one
	next, prev           *response // of the thread
}

// thread is a response and all that continue it, or a conversation with the responses
// of it.
type thread struct {
	id        string
	owner     state.Owner
	responses *response // the newest
	created   int64     // in milliseconds
	bytes     int64
	jobs      int   // that have not ended: while there are any, the thread stays
	expires   int64 // in milliseconds; 0: never
	use       *list.Element

	conversation *conversation // nil: it is a chain
	heap         int           // its place in expiring; -1: not there
}

// owned is what an owner has.
type owned struct {
	threads       map[*thread]struct{}
	responses     int
	conversations int
	bytes         int64
}

// overhead is what a response and its thread take beside the content, in bytes: on
// Go's heap, where the collector lets as much again be garbage.
const overhead = 1536

// New makes a store.
func New(opt Options) *Store {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &Store{
		max: opt.MaxBytes, now: opt.Now, threads: list.New(),
		responses: map[string]*response{}, conversations: map[string]*thread{}, owners: map[state.Owner]*owned{},
	}
}

var errClosed = errors.New("it is closed")

// open locks the store when it can be used.
func (s *Store) open(ctx context.Context) error {
	if err := state.Ended(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return state.Unavailable(errClosed)
	}
	return nil
}

// Ready is nil until the store is closed.
func (s *Store) Ready(ctx context.Context) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	s.mu.Unlock()
	return nil
}

// find returns an owner's response, or nil.
func (s *Store) find(owner state.Owner, id string) *response {
	if r := s.responses[id]; r != nil && r.thread.owner == owner {
		return r
	}
	return nil
}

// look locks the store and returns an owner's response. With an error it is not locked.
func (s *Store) look(ctx context.Context, owner state.Owner, id string) (*response, error) {
	if !state.IsID(id) {
		return nil, state.ErrNotFound
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if r := s.find(owner, id); r != nil {
		return r, nil
	}
	s.mu.Unlock()
	return nil, state.ErrNotFound
}

// used makes a thread the one that was used last.
func (s *Store) used(t *thread) { s.threads.MoveToBack(t.use) }

// Chain returns the response and all before it.
func (s *Store) Chain(ctx context.Context, owner state.Owner, id string, bounds state.Bounds) ([]state.Turn, error) {
	r, err := s.look(ctx, owner, id)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	walk := state.Walk{Bounds: bounds}
	if err := walk.Begin(r.status, r.flags, r.depth); err != nil {
		return nil, err
	}
	s.used(r.thread)
	for ; r != nil; r = s.find(owner, r.parent) {
		if err := walk.Room(r.input + r.output); err != nil {
			return nil, err
		}
		content := s.blocks.read(r.at, r.input+r.output)
		walk.Add(state.Turn{ID: r.id, Status: r.status, Flags: r.flags, Input: content[:r.input:r.input], Output: content[r.input:]}, r.parent)
	}
	return walk.End()
}

// Get returns one response.
func (s *Store) Get(ctx context.Context, owner state.Owner, id string) (*state.Record, error) {
	r, err := s.look(ctx, owner, id)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	s.used(r.thread)
	return s.record(r), nil
}

// record copies a response.
func (s *Store) record(r *response) *state.Record {
	content := s.blocks.read(r.at, r.input+r.output+r.shell)
	output := r.input + r.output
	return &state.Record{
		ID: r.id, Owner: r.thread.owner, Parent: r.parent, Thread: r.thread.id, Depth: r.depth,
		Status: r.status, Flags: r.flags, Created: time.UnixMilli(r.created),
		Input: content[:r.input:r.input], Output: content[r.input:output:output], Shell: content[output:], Cut: r.cut,
	}
}

// Delete removes one response.
func (s *Store) Delete(ctx context.Context, owner state.Owner, id string) error {
	r, err := s.look(ctx, owner, id)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if s.remove(r); r.thread.responses == nil && r.thread.conversation == nil {
		s.drop(r.thread)
	}
	return nil
}

// Commit keeps a response.
func (s *Store) Commit(ctx context.Context, rec *state.Record) error {
	if err := rec.Check(); err != nil {
		return err
	}
	if err := s.open(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if r := s.responses[rec.ID]; r != nil {
		if r.is(rec) && r.status == rec.Status {
			return nil // it was kept before
		}
		return state.ErrConflict
	}
	if rec.Joins != nil {
		return s.join(rec)
	}
	_, err := s.keep(rec, 0)
	return err
}

// is reports whether a record is of the same response.
func (r *response) is(rec *state.Record) bool {
	return r.thread.owner == rec.Owner && r.parent == rec.Parent && r.created == rec.Created.UnixMilli()
}

// keep keeps a response that is new, with more bytes for what comes with it.
func (s *Store) keep(rec *state.Record, more int64) (*response, error) {
	id, parentID := strings.Clone(rec.ID), ""
	t, depth := &thread{id: id, owner: rec.Owner, created: rec.Created.UnixMilli(), heap: -1}, 1
	switch {
	case rec.Joins != nil:
		t = s.conversations[rec.Joins.Conversation]
	case rec.Parent != "":
		parent := s.find(rec.Owner, rec.Parent)
		if parent == nil {
			return nil, &state.MissingError{ID: rec.Parent}
		}
		t, depth, parentID = parent.thread, parent.depth+1, parent.id
	}
	need := cost(rec.Bytes())
	if !s.room(t, need+more) {
		return nil, state.ErrTooLarge
	}
	if t.use == nil {
		s.begin(t)
	}
	s.used(t)
	r := &response{
		id: id, parent: parentID, thread: t, depth: depth, status: rec.Status, flags: rec.Flags,
		created: rec.Created.UnixMilli(), input: len(rec.Input), output: len(rec.Output), shell: len(rec.Shell), cut: rec.Cut,
		at: s.blocks.write(rec.Input, rec.Output, rec.Shell),
	}
	if r.next = t.responses; r.next != nil {
		r.next.prev = r
	}
	s.responses[r.id], t.responses = r, r
	s.account(t, 1, need)
	s.touch(t, rec.TTL)
	return r, nil
}

// room makes room for more of a thread: others go, those first that were used longest
// ago, but none with a job that has not ended. It reports whether there is.
func (s *Store) room(t *thread, need int64) bool {
	if t.bytes+need > s.max {
		return false
	}
	for e := s.threads.Front(); e != nil && s.bytes+need > s.max; {
		other := e.Value.(*thread)
		if e = e.Next(); other != t && other.jobs == 0 {
			s.drop(other)
		}
	}
	return s.bytes+need <= s.max
}

// cost is what a response of so much content takes.
func cost(content int) int64 {
	return int64(blocksFor(content))*(blockSize+4) + overhead
}

// account counts what a thread has more, or less.
func (s *Store) account(t *thread, responses int, bytes int64) {
	o := s.owners[t.owner]
	o.responses += responses
	o.bytes += bytes
	t.bytes += bytes
	s.bytes += bytes
}

// begin takes in a new thread.
func (s *Store) begin(t *thread) {
	t.use = s.threads.PushBack(t)
	o := s.owners[t.owner]
	if o == nil {
		o = &owned{threads: map[*thread]struct{}{}}
		s.owners[t.owner] = o
	}
	o.threads[t] = struct{}{}
}

// touch lets a thread live for ttl from now on; 0 is for ever.
func (s *Store) touch(t *thread, ttl time.Duration) {
	if t.heap >= 0 {
		heap.Remove(&s.expiring, t.heap)
	}
	if t.expires = 0; ttl > 0 {
		t.expires = s.now().Add(ttl).UnixMilli()
		heap.Push(&s.expiring, t)
	}
}

// remove forgets a response, but not its thread.
func (s *Store) remove(r *response) {
	s.blocks.free(r.at)
	delete(s.responses, r.id)
	if r.next != nil {
		r.next.prev = r.prev
	}
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		r.thread.responses = r.next
	}
	s.account(r.thread, -1, -cost(r.input+r.output+r.shell))
	if r.job != nil {
		s.forget(r)
		r.unlock()
	}
}

// drop forgets a thread and returns how many responses it had.
func (s *Store) drop(t *thread) (n int) {
	for ; t.responses != nil; n++ {
		s.remove(t.responses)
	}
	if c := t.conversation; c != nil {
		for _, it := range c.items {
			s.removeItem(t, it)
		}
		s.account(t, 0, -conversationCost(c.metadata))
		delete(s.conversations, t.id)
		s.owners[t.owner].conversations--
	}
	s.threads.Remove(t.use)
	if t.heap >= 0 {
		heap.Remove(&s.expiring, t.heap)
	}
	o := s.owners[t.owner]
	if delete(o.threads, t); len(o.threads) == 0 {
		delete(s.owners, t.owner)
	}
	return n
}

// Sweep removes threads that have expired.
func (s *Store) Sweep(ctx context.Context, now time.Time, limit int) (swept state.Swept, err error) {
	if err := s.open(ctx); err != nil {
		return swept, err
	}
	defer s.mu.Unlock()
	at := now.UnixMilli()
	s.sweepLogs(at)
	var stay []*thread // because of their jobs
	for ; len(s.expiring) > 0 && s.expiring[0].expires <= at; limit-- {
		if t := s.expiring[0]; t.jobs > 0 {
			stay = append(stay, heap.Pop(&s.expiring).(*thread))
			continue
		}
		if limit <= 0 {
			swept.More = true
			break
		}
		t := s.expiring[0]
		swept.Thread(s.drop(t), t.conversation != nil)
	}
	for _, t := range stay {
		heap.Push(&s.expiring, t)
	}
	return swept, nil
}

// Purge removes all that an owner has.
func (s *Store) Purge(ctx context.Context, owner state.Owner) (removed state.Removed, err error) {
	if err := s.open(ctx); err != nil {
		return removed, err
	}
	defer s.mu.Unlock()
	if o := s.owners[owner]; o != nil {
		for t := range o.threads {
			removed.Thread(s.drop(t), t.conversation != nil)
		}
	}
	return removed, nil
}

// Export calls each with all that an owner has.
func (s *Store) Export(ctx context.Context, owner state.Owner, each func(*state.Record) error) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	var all []*response
	if o := s.owners[owner]; o != nil {
		for t := range o.threads {
			for r := t.responses; r != nil; r = r.next {
				all = append(all, r)
			}
		}
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b *response) int { return a.place().Compare(b.place()) })
	for _, r := range all {
		rec, err := s.Get(ctx, owner, r.id)
		if errors.Is(err, state.ErrNotFound) {
			continue // it has gone meanwhile
		}
		if err == nil {
			err = each(rec)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Key returns the key of a name.
func (s *Store) Key(ctx context.Context, name string, fresh []byte) ([]byte, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = map[string][]byte{}
	}
	if s.keys[name] == nil {
		s.keys[name] = bytes.Clone(fresh)
	}
	return bytes.Clone(s.keys[name]), nil
}

// Usage returns what every owner has.
func (s *Store) Usage(ctx context.Context) (map[state.Owner]state.Used, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	all := make(map[state.Owner]state.Used, len(s.owners))
	for owner, o := range s.owners {
		all[owner] = state.Used{Responses: o.responses, Conversations: o.conversations, Bytes: o.bytes}
	}
	return all, nil
}

// Close forgets everything.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.responses, s.conversations, s.owners, s.expiring, s.jobs = nil, nil, nil, nil, jobs{}
	s.threads.Init()
	return s.blocks.close()
}

// expiring are the threads that expire, as a heap: the first to do so in front.
type expiring []*thread

func (e expiring) Len() int           { return len(e) }
func (e expiring) Less(i, j int) bool { return e[i].expires < e[j].expires }
func (e expiring) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].heap, e[j].heap = i, j
}

// Push is container/heap's.
func (e *expiring) Push(x any) {
	t := x.(*thread)
	t.heap = len(*e)
	*e = append(*e, t)
}

// Pop is container/heap's.
func (e *expiring) Pop() any {
	last := len(*e) - 1
	t := (*e)[last]
	(*e)[last] = nil
	*e, t.heap = (*e)[:last], -1
	return t
}
