package turns

import (
	"context"
	"errors"
	"time"

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

// Keep stores how the answer ended. It returns when that is safe, or when it is known
// that it will not be: then kept is false, and the answer must say so. With failed the
// answer must not be given, as the client would take it for one that can be continued.
func (u *Turn) Keep(o responses.Outcome) (kept bool, failed *responses.Error) {
	status := statuses[o.Status]
	if u.turns == nil || status == 0 {
		return true, nil
	}
	start, end := o.Output()
	r := &u.record
	r.Status = status
	// A copy: a store that gave no answer in time may look at it still.
	r.Shell = make([]byte, 0, len(o.Resource))
	r.Shell = append(append(r.Shell, o.Resource[:start]...), o.Resource[end:]...)
	r.Cut, r.Output = start, append(r.Shell[len(r.Shell):], o.Resource[start:end]...)
	r.Shell = r.Shell[:len(r.Shell):len(r.Shell)]
	ctx, cancel := context.WithTimeout(context.Background(), u.turns.cfg.State.CommitTimeout)
	defer cancel()
	switch err := u.commit(ctx); {
	case err == nil:
		return true, nil
	case final(err), status == state.Failed, u.turns.cfg.State.OnFailure == config.AnswerOnFailure:
		return false, nil
	}
	return false, unavailable().Reply
}

// The pauses between two attempts to commit.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// commit tries until ctx ends, but not again what is final.
func (u *Turn) commit(ctx context.Context) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := u.turns.store.Commit(ctx, &u.record)
		if err == nil || final(err) || ctx.Err() != nil {
			return err
		}
		next := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			next.Stop()
			return err
		case <-next.C:
		}
	}
}

// final reports whether a store has decided: it was asked in vain, but was there.
func final(err error) bool {
	return errors.Is(err, state.ErrMissing) || errors.Is(err, state.ErrTooLarge) || errors.Is(err, state.ErrConflict) || errors.Is(err, state.ErrNotFound)
}
