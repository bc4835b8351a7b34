package state

import (
	"strings"
	"time"
)

// Record is one response as it is kept.
type Record struct {
	ID      string // the part after "resp_"
	Owner   Owner
	Parent  string // the response that this one continues; "": none
	Status  Status
	Flags   Flags
	Created time.Time // kept in milliseconds

	// TTL is how long the thread is kept after this response at least, and for Slack
	// more at most; 0 is for ever. It is read by Commit only.
	TTL time.Duration

	// Replay is how long the log of a job is kept after its end. It is read by Finish
	// and Cancel only.
	Replay time.Duration

	// Joins says to which conversation the response is added; nil: to none. It is read
	// by Commit, Accept and Finish only: a response that was added has the flag Conversed, and the
	// conversation as its thread.
	Joins *Joins

	// The resource is Shell[:Cut] + Output + Shell[Cut:].
	Input  []byte // the items of this request, a JSON array
	Output []byte // the items of the answer, a JSON array
	Shell  []byte
	Cut    int

	// Thread and Depth are the store's: Commit does not read them.
	Thread string // the first response of the chain
	Depth  int    // 1 is the first
}

// AppendResource appends the resource as it was answered.
func (r *Record) AppendResource(dst []byte) []byte {
	dst = append(dst, r.Shell[:r.Cut]...)
	dst = append(dst, r.Output...)
	return append(dst, r.Shell[r.Cut:]...)
}

// Bytes is the size of what the record carries.
func (r *Record) Bytes() int { return len(r.Input) + len(r.Output) + len(r.Shell) }

// Slack is how much longer than TTL a thread may be kept.
func (r *Record) Slack() time.Duration { return slack(r.TTL) }

func slack(ttl time.Duration) time.Duration { return min(ttl/24, time.Hour) }

// Turn is what continuing a chain needs of one of its responses.
type Turn struct {
	ID     string
	Status Status
	Flags  Flags
	Input  []byte
	Output []byte
}

// Status is how a response ended, or how far it has come. The numbers are those in databases.
type Status uint8

// The ways that a response can end, and before them those of jobs that have not.
const (
	Queued     Status = 0
	InProgress Status = 1
	Completed  Status = 2
	Incomplete Status = 3
	Cancelled  Status = 4
	Failed     Status = 5
)

// Continuable reports whether a response that ended so can be continued.
func (s Status) Continuable() bool { return s >= Completed && s <= Cancelled }

// Flags are what else is known of a response. The numbers are those in databases.
type Flags uint8

// What is known of a response.
const (
	Background Flags = 1 // it is a job's
	Streamed   Flags = 2 // it was streamed
	Conversed  Flags = 4 // it belongs to a conversation
)

// Logs reports whether such a response has a log.
func (f Flags) Logs() bool { return f&(Background|Streamed) == Background|Streamed }

// maxID bounds an id, in bytes.
const maxID = 64

// idPrefix begins the ids of responses on the wire.
const idPrefix = "resp_"

// IDOf returns the part of a response's id that a Record has, and whether the id
// is one at all.
func IDOf(wire string) (id string, ok bool) { return idAfter(idPrefix, wire) }

func idAfter(prefix, wire string) (id string, ok bool) {
	if id, ok = strings.CutPrefix(wire, prefix); !ok {
		return "", false
	}
	return id, IsID(id)
}

// IsID accepts what the server makes as an id's random part: 1 to 64 lower-case
// letters and digits.
func IsID(id string) bool {
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}
