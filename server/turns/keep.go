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
	r := u.ended(o)
	if u.hold != nil {
		return u.keepJoined(r)
	}
	ctx, cancel := context.WithTimeout(context.Background(), u.turns.cfg.State.CommitTimeout)
	defer cancel()
	switch err := u.turns.store.Commit(ctx, r); {
	case err == nil:
		return true, nil
	case state.Final(err), status == state.Failed, u.turns.cfg.State.OnFailure == config.AnswerOnFailure:
		return false, nil
	}
	return false, unavailable().Reply
}

// ended is the turn's record with an outcome.
func (u *Turn) ended(o responses.Outcome) *state.Record {
	start, end := o.Output()
	r := &u.record
	r.Status = statuses[o.Status]
	// A copy: a store that gave no answer in time may look at it still.
	r.Shell = make([]byte, 0, len(o.Resource))
	r.Shell = append(append(r.Shell, o.Resource[:start]...), o.Resource[end:]...)
	r.Cut, r.Output = start, append(r.Shell[len(r.Shell):], o.Resource[start:end]...)
	r.Shell = r.Shell[:len(r.Shell):len(r.Shell)]
	return r
}
