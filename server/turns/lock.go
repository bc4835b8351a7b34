package turns

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"antwort/server/state"
	"antwort/shared/failure"
	"antwort/shared/history"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// hold is a conversation that a turn has locked. It is renewed until the turn ends.
type hold struct {
	turns        *Turns
	owner        state.Owner
	conversation string // the part after "conv_"
	holder       string

	ctx    context.Context // of the renewals
	cancel context.CancelFunc
	mu     sync.Mutex // held while the lock is renewed, or what follows is used
	timer  *time.Timer
	free   bool // it is nobody's business any more
}

// The pauses between two looks whether a conversation is free.
const (
	firstLook = 10 * time.Millisecond
	lastLook  = 250 * time.Millisecond
)

// lock locks a conversation for the request, as soon as it is free.
func (b *beginning) lock(conversation, wire string) (*hold, *failure.Failure) {
	h := &hold{turns: b.Turns, owner: b.owner, conversation: conversation, holder: b.ask.ID}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	s := &b.cfg.State
	over := time.Now().Add(s.ConversationWait)
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		ctx, cancel := context.WithTimeout(b.ctx, s.CommitTimeout)
		err := b.store.Lock(ctx, b.owner, conversation, h.holder, s.ConversationLease)
		cancel()
		switch {
		case err == nil:
			h.mu.Lock() // renew looks at the timer
			defer h.mu.Unlock()
			h.timer = time.AfterFunc(s.ConversationLease/3, h.renew)
			return h, nil
		case errors.Is(err, state.ErrNotFound):
			return nil, conversationMissing(wire, history.Conversation)
		case !errors.Is(err, state.ErrLocked): // it may have been locked all the same
			h.release()
			return nil, b.broken(b.ctx, err)
		}
		left := time.Until(over)
		if left <= 0 {
			return nil, failure.Of(failure.InvalidRequest, conversationLocked())
		}
		look := time.NewTimer(min(pause, left))
		select {
		case <-look.C:
		case <-b.ctx.Done():
			look.Stop()
			return nil, failure.Of(failure.ClientGone, nil)
		}
	}
}

// renew lets the lock be valid for longer, and again before that is over.
func (h *hold) renew() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx.Err() != nil {
		return
	}
	lease := h.turns.cfg.State.ConversationLease
	ctx, cancel := context.WithTimeout(h.ctx, lease/3)
	defer cancel()
	err := h.turns.store.RenewLock(ctx, h.owner, h.conversation, h.holder, lease)
	if errors.Is(err, state.ErrLost) || errors.Is(err, state.ErrNotFound) {
		return // the end of the turn will show it
	}
	h.timer.Reset(lease / 3)
}

// stop ends the renewals, and returns when the last one is over.
func (h *hold) stop() {
	h.cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer != nil {
		h.timer.Stop()
	}
}

// freed says that the lock is given back, and reports whether that was said before.
func (h *hold) freed() (before bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before, h.free = h.free, true
	return before
}

// releaseTime bounds giving a lock back; after it the lease lapses.
const releaseTime = 2 * time.Second

// release gives the lock back, unless that was done, or is being done.
func (h *hold) release() {
	h.stop()
	if h.freed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(releaseTime, h.turns.cfg.State.CommitTimeout))
	defer cancel()
	_ = h.turns.store.Unlock(ctx, h.owner, h.conversation, h.holder) // the lease ends by itself
}

// Leave says that the request is over, however it went: the conversation is free.
func (u *Turn) Leave() {
	if u != nil && u.hold != nil {
		u.hold.release()
	}
}

// conversationLocked is what is told while another response of the conversation is made.
func conversationLocked() *responses.Error {
	e := responses.NewError(http.StatusBadRequest, "conversation_locked", "Another process is currently operating on this conversation. Please retry in a few seconds.")
	e.Param = history.Conversation
	return e
}

// conversationMissing is what is told of a conversation that there is not, or that is
// somebody else's: nobody learns which. field is that of the request which names it.
func conversationMissing(wire, field string) *failure.Failure {
	e := responses.NewError(http.StatusNotFound, "conversation_not_found", "Conversation with id '"+policy.Clip(wire, 128)+"' not found.")
	e.Param = field
	return failure.Of(failure.NotStored, e)
}
