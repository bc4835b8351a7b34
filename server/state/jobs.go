package state

import (
	"context"
	"errors"
	"time"
)

// Jobs are responses that are worked on while nobody waits for them.
//
//	Accept ─► queued ─ Claim ─► in progress ─┬─ Finish ─► ended
//	             ▲                  │ ▲      └─ Cancel ─► cancelled
//	             └──── Release ─────┘ └ Renew, Append
//
// A job of a conversation, whose record Joins it, has the conversation's lock by its own
// ID from Accept to its end, which adds the items: Finish, Cancel and Delete let go of it.
//
// Who claims a job has its lease: until that lapses, or is given back, nobody else
// gets the job. What was shown of a job is its log, a list of numbered events; it
// goes some time after the job's end.
type Jobs interface {
	// Accept keeps a response that nobody has begun, and the request that says what
	// is to be done. With queue of its owner's jobs not ended it is ErrQueueFull; 0 is
	// no bound. Accepting the same record again is a success. The lock of a conversation
	// must be held by the job's ID, else it is ErrLost.
	Accept(ctx context.Context, j *Job, queue int) error

	// Claim takes the oldest job that is queued, or whose lease has lapsed, and
	// leases it for so long; ErrNotFound when there is none. One that is ErrUnreadable
	// is leased all the same, so that others get their turn.
	Claim(ctx context.Context, lease time.Duration) (*Job, error)

	// Renew lets leases be valid for so long from now on, and returns those that are
	// the caller's still: others were cancelled, deleted or taken over.
	Renew(ctx context.Context, leases []Lease, lease time.Duration) ([]Lease, error)

	// Release gives a lease back: the job is queued again, and it does not count as
	// a try.
	Release(ctx context.Context, l Lease) error

	// Append adds events to the log. Adding the same again is a success; a lease that
	// is no longer the caller's is ErrLost.
	Append(ctx context.Context, l Lease, e Events) error

	// Finish ends a job with the last of its events, if it has any, and forgets its
	// request. A lease that is no longer the caller's is ErrLost. Finishing again in
	// the same way is a success.
	Finish(ctx context.Context, l Lease, r *Record, e Events) error

	// Cancel ends a job that has not ended. end makes of the record the one that it
	// ends as, and returns the event that says so, the one after those of the log;
	// nothing where there is no log. It may be called after the caller has left. The
	// record is returned as it stands, and as it was where it had ended.
	Cancel(ctx context.Context, owner Owner, id string, end func(r *Record, log []Events) []byte) (*Record, error)

	// Events reads the log after an event, some of it at a time.
	Events(ctx context.Context, owner Owner, id string, after int64) (*Log, error)

	// Queued is how many jobs nobody works on.
	Queued(ctx context.Context) (int, error)
}

// Job is a response in the background.
type Job struct {
	Record         // as it is told: queued, or in progress
	Request []byte // what is to be done

	// Events are those that are told at once, of a job whose events are: for Accept.
	Events Events

	// The rest is Claim's.
	Lease Lease
	Tries int   // how often it was claimed, with this time, and not given back
	Next  int64 // the number of the next event of its log
}

// Lease is the right to work on a job.
type Lease struct {
	ID      string // the job's
	Owner   Owner  // the job's
	Attempt int64  // each claim has a higher one
}

// Events are some that follow each other in a log.
type Events struct {
	First, Last int64
	Data        []byte // empty: there are none
}

// Next is the number of the event after a whole log.
func Next(log []Events) int64 {
	if len(log) == 0 {
		return 0
	}
	return log[len(log)-1].Last + 1
}

// Log is a part of what was shown of a job.
type Log struct {
	Flags   Flags
	Status  Status
	Batches []Events // in their order; the first may begin before what was asked for
	More    bool     // there are more batches by now
	Expired bool     // the log has gone
}

// Ended reports whether nothing will come after these batches.
func (l *Log) Ended() bool { return l.Status >= Completed && !l.More }

// JobLock is for how long a job has its conversation's lock: longer than any is worked on.
const JobLock = 100 * 365 * 24 * time.Hour

// LogRows are how many batches Events returns at most.
const LogRows = 16

// What a store of jobs can answer, too.
var (
	ErrQueueFull = errors.New("the owner has as many jobs as may be")
	ErrLost      = errors.New("the job is somebody else's, or has ended")
)

// CheckQueued refuses a job that no store can keep: a fault of the program.
func (j *Job) CheckQueued() error {
	r := j.Record
	if r.Status != Queued || r.Flags&Background == 0 {
		return errors.New("the job is none that waits")
	}
	if r.Joins != nil && r.Joins.Holder != r.ID {
		return errors.New("the job does not hold its conversation by its own id")
	}
	r.Status = Completed
	return r.Check()
}
