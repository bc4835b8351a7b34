// Package state says what a store of responses is: answers that can be read again
// and continued.
//
//	the terminal resource, cut in pieces ─► Record ─► Store.Commit
//	Store.Chain ─► Turns, oldest first ─► what stands before the next input
//	Store.Get   ─► Record ─► the same resource
//
// Only what is final enters, and jobs: what will be. A store keeps bytes and reads none of them: it knows
// owners, ids and times, and no JSON. The rooms below this one keep them in the
// process (memory), in a file (sqlite) and in a database for several processes
// (postgres); statetest says what all of them do.
package state

import (
	"context"
	"errors"
	"time"
)

// Store keeps responses. It is safe for concurrent use. Every method but Sweep,
// Usage, Close and those of a lease sees what belongs to the given owner and nothing else: what is
// somebody else's is as what never was. An id that is none is ErrNotFound without
// a look. What a method returns is the caller's own, to be changed at will. What is
// there and cannot be read, as it is sealed with a key that is gone, is ErrUnreadable.
type Store interface {
	Jobs
	Conversations
	Threads

	// Ready says whether the store can be reached: nil, or ErrUnavailable.
	Ready(ctx context.Context) error

	// Chain returns the response and all before it, the oldest first. It is whole,
	// or an error: ErrNotFound, a *MissingError when one of those before is gone,
	// a *TooLongError, or a *UnusableError when the response cannot be continued.
	Chain(ctx context.Context, owner Owner, id string, bounds Bounds) ([]Turn, error)

	// Get returns one response.
	Get(ctx context.Context, owner Owner, id string) (*Record, error)

	// Delete removes one response for good. Those after it can still be read, and
	// no longer continued.
	Delete(ctx context.Context, owner Owner, id string) error

	// Commit keeps a response and returns when it is safe. It finds the thread and
	// the depth by the parent, whose absence is a *MissingError. With a record that
	// Joins a conversation it adds the items and unlocks at the same time; ErrNotFound
	// is that the conversation is gone, ErrLost that somebody else has locked it, and a
	// *DuplicateError that it has one of the items. Committing the same record again is
	// a success: who does not know whether it was kept may try.
	Commit(ctx context.Context, r *Record) error

	// Sweep removes up to limit threads that have expired by now, each with all its
	// responses, but for those with a job that has not ended; and logs whose time is
	// over.
	Sweep(ctx context.Context, now time.Time, limit int) (Swept, error)

	// Purge removes all that an owner has and returns how much it was.
	Purge(ctx context.Context, owner Owner) (Removed, error)

	// Export calls each with all responses that an owner has, the oldest first, until
	// it returns an error. Conversations are exported by EachConversation.
	Export(ctx context.Context, owner Owner, each func(*Record) error) error

	// Key returns the key of a name, the same for all who have the store. The first who
	// asks for one gives it.
	Key(ctx context.Context, name string, fresh []byte) ([]byte, error)

	// Usage returns what every owner has.
	Usage(ctx context.Context) (map[Owner]Used, error)

	// Close ends the store; then everything is ErrUnavailable.
	Close() error
}

// Writer is a store that may be there and yet keep nothing: its disk is full, somebody else
// has locked it, its standby does not answer.
type Writer interface {
	// Writable says whether the store keeps what it gets: nil, or ErrUnavailable. It writes.
	Writable(ctx context.Context) error
}

// Owner is to whom a response belongs. It is a digest: it tells owners apart, and
// nothing about them.
type Owner [16]byte

// Bounds are what a chain may be at most. 0 is no bound.
type Bounds struct {
	Depth int   // responses
	Bytes int64 // of their input and output
}

// Used is what an owner has.
type Used struct {
	Responses     int
	Conversations int
	Bytes         int64 // as the store counts: what is compressed counts so
}

// Removed is what a Purge, or a Sweep, has removed.
type Removed struct {
	Responses     int
	Conversations int
}

// Thread counts a thread that was removed.
func (r *Removed) Thread(responses int, conversation bool) {
	if r.Responses += responses; conversation {
		r.Conversations++
	}
}

// Add counts what else was removed.
func (r *Removed) Add(more Removed) {
	r.Responses += more.Responses
	r.Conversations += more.Conversations
}

// Swept is what a Sweep did.
type Swept struct {
	Removed
	More bool // threads have expired that are there still
}

// Each calls each with the owner's responses of the ids, in their order, but for those
// that have gone meanwhile, until it returns an error.
func Each(ctx context.Context, s Store, owner Owner, ids []string, each func(*Record) error) error {
	for _, id := range ids {
		r, err := s.Get(ctx, owner, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err == nil {
			err = each(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
