package turns

import (
	"context"

	"antwort/server/state"
	"antwort/shared/config"
	"antwort/shared/responses"
)

// statuses are the ways in which a response can end.
var statuses = map[string]state.Status{
	"completed": state.Completed, "incomplete": state.Incomplete, "cancelled": state.Cancelled, "failed": state.Failed,
}

// Streams says that the answer is streamed.
func (u *Turn) Streams() { u.record.Flags = state.Streamed }

// Stored reports whether the answer will be stored.
func (u *Turn) Stored() bool { return u.turns != nil }

// Kept reports whether the end of the answer is somebody's business: of a store, or of
// the connection that it is for.
func (u *Turn) Kept() bool { return u.turns != nil || u.aside != nil }

// Keep stores how the answer ended. It returns when that is safe, or when it is known
// that it will not be: then kept is false, and the answer must say so. With failed the
// answer must not be given, as the client would take it for one that can be continued.
func (u *Turn) Keep(o responses.Outcome) (kept bool, failed *responses.Error) {
	kept, failed = u.store(o)
	if failed == nil {
		u.setAside(o, u.turns != nil && kept)
	}
	return kept, failed
}

func (u *Turn) store(o responses.Outcome) (kept bool, failed *responses.Error) {
	status := statuses[o.Status]
	if u.turns == nil || status == 0 || o.Resource == nil { // of which nothing was said
		return true, nil
	}
	leave := u.turns.enter(o)
	if leave == nil {
		return false, u.unanswered(status)
	}
	defer leave()
	r := u.ended(o)
	if u.hold != nil {
		return u.keepJoined(r)
	}
	ctx, cancel := context.WithTimeout(context.Background(), u.turns.cfg.State.CommitTimeout)
	defer cancel()
	switch err := u.turns.store.Commit(ctx, r); {
	case err == nil:
		return true, nil
	case state.Final(err):
		return false, nil
	}
	return false, u.unanswered(status)
}

// unanswered is the failure of a store that has not kept how an answer ended; nil where
// the answer is given all the same.
func (u *Turn) unanswered(status state.Status) *responses.Error {
	if status == state.Failed || u.turns.cfg.State.OnFailure == config.AnswerOnFailure {
		return nil
	}
	return unavailable().Reply
}

// Long answers that are being kept have this part of limits.in_flight_bytes, and wait for
// each other: each is there once more meanwhile, for a database as it is packed and on
// its way too.
const (
	keptShare = 16
	longBytes = 64 << 10
)

// enter waits until there is memory for an answer that is to be kept. It returns what
// gives the memory back; nil when there was none for the time that keeping may take.
func (t *Turns) enter(o responses.Outcome) (leave func()) {
	size := int64(len(o.Resource))
	for _, piece := range o.Apart {
		size += int64(len(piece))
	}
	if size < longBytes {
		return func() {}
	}
	if t.cfg.StateType() != config.MemoryState {
		size *= 3
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.cfg.State.CommitTimeout)
	defer cancel()
	size = min(size, t.cfg.Limits.InFlight(false)/keptShare) // one that is larger has it alone
	if t.keeping.Acquire(ctx, size) != nil {
		return nil
	}
	return func() { t.keeping.Release(size) }
}

// ended is the turn's record with an outcome.
func (u *Turn) ended(o responses.Outcome) *state.Record {
	start, end := o.Output()
	r := &u.record
	r.Status = statuses[o.Status]
	// A copy: a store that gave no answer in time may look at it still.
	r.Shell = make([]byte, 0, len(o.Resource))
	r.Shell = append(append(r.Shell, o.Resource[:start]...), o.Resource[end:]...)
	if r.Cut = start; o.Apart != nil {
		r.Output = outputOf(o)
		return r
	}
	r.Output = append(r.Shell[len(r.Shell):], o.Resource[start:end]...)
	r.Shell = r.Shell[:len(r.Shell):len(r.Shell)]
	return r
}

// outputOf is a copy of the list of an answer's items.
func outputOf(o responses.Outcome) []byte {
	start, end := o.Output()
	size := end - start
	for _, piece := range o.Apart {
		size += len(piece)
	}
	list := append(make([]byte, 0, size), o.Resource[start:end-len("]")]...)
	for _, piece := range o.Apart {
		list = append(list, piece...)
	}
	return append(list, ']')
}
