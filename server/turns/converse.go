package turns

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"antwort/server/state"
	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/history"
	"antwort/shared/responses"
)

// converse begins a request for a conversation: it waits until no other one is made
// for it, and takes its items as history. The turn must be left.
func (b *beginning) converse(u *Turn, asked *history.Ask) *failure.Failure {
	if asked.Previous != "" {
		e := responses.NewError(http.StatusBadRequest, "mutually_exclusive_parameters", "previous_response_id and conversation cannot be used together: a response of a conversation is continued by the conversation")
		e.Param = history.Conversation
		return failure.Of(failure.InvalidRequest, e)
	}
	b.explicit, b.field = true, history.Conversation // what it says is kept in any case
	u.Past.Conversation = asked.Conversation
	if u.job = b.ask.Job; u.job != nil {
		b.owner = u.job.Owner
	}
	if f := b.room(asked.Input); f != nil {
		return f
	}
	id, ok := state.ConversationIDOf(asked.Conversation)
	if !ok {
		return conversationMissing(asked.Conversation, history.Conversation)
	}
	if b.ask.Reads || b.ask.Job != nil { // which has the lock
		return b.goOn(u, asked, id)
	}
	var f *failure.Failure
	if u.hold, f = b.lock(id, asked.Conversation); f != nil {
		return f
	}
	if f = b.goOn(u, asked, id); f != nil {
		u.Leave()
	}
	return f
}

// roomFor refuses what there is no room for in the store, or for which there is no store.
func (t *Turns) roomFor(ctx context.Context, owner state.Owner, bytes int) *failure.Failure {
	s := &t.cfg.State
	switch {
	case t.store.Ready(ctx) != nil:
		return unavailable()
	case t.store.Over(owner, s.MaxOwnerBytes):
		return overQuota()
	case int64(bytes) > s.MaxInputBytes:
		return failure.Of(failure.TooLarge, responses.NewError(http.StatusRequestEntityTooLarge, "request_too_large",
			"the items are over the "+strconv.FormatInt(s.MaxInputBytes, 10)+" bytes that are stored of a request"))
	}
	return nil
}

// room is the same of the input, where it is to be stored and is not yet.
func (b *beginning) room(input []byte) *failure.Failure {
	if b.ask.Reads || b.ask.Job != nil {
		return nil
	}
	return b.roomFor(b.ctx, b.owner, len(input))
}

// overQuota is what is told who has as much in the store as may be.
func overQuota() *failure.Failure {
	return failure.Of(failure.StateQuota, responses.NewError(http.StatusTooManyRequests, "state_quota_exceeded",
		"as much is stored for you as may be: delete responses or conversations, or send store false"))
}

// goOn takes the items of the conversation, which is locked, as history.
func (b *beginning) goOn(u *Turn, asked *history.Ask, id string) *failure.Failure {
	items, f := b.itemsOf(id, asked.Conversation)
	if f != nil {
		return f
	}
	chain := []state.Turn{{Input: items}}
	input, refers, f := b.resolve(asked.Input, chain)
	if f != nil {
		return f
	}
	if refers {
		u.Body, u.Refers = asked.AppendBody(nil, input), true
		if f := b.room(input); f != nil {
			return f
		}
	}
	kept := history.KeepApart(make([]byte, 0, len(input)+128), input, b.ask.ID, 0)
	if !b.ask.Memory.Hold(len(kept)) {
		return b.ask.Memory.Refusal()
	}
	if f := b.join(u, chain, kept); f != nil {
		return f
	}
	if b.ask.Reads {
		return nil
	}
	u.turns = b.Turns
	u.record = state.Record{ID: b.ask.ID, Owner: b.owner, Created: time.Unix(b.ask.Created, 0), TTL: b.cfg.State.ConversationTTL, Input: kept}
	return nil
}

// itemsOf are all items of a conversation, as one JSON array.
func (b *beginning) itemsOf(id, wire string) ([]byte, *failure.Failure) {
	s := &b.cfg.State
	ctx, cancel := context.WithTimeout(b.ctx, s.CommitTimeout)
	defer cancel()
	items, more, err := b.store.Items(ctx, b.owner, id, state.Span{Bytes: s.MaxContextBytes, Ascending: true})
	switch {
	case errors.Is(err, state.ErrNotFound):
		return nil, conversationMissing(wire, history.Conversation)
	case err != nil:
		return nil, b.broken(b.ctx, err)
	}
	size := len("[]")
	for i := range items {
		size += len(items[i].Data) + 1
	}
	if more || int64(size) > s.MaxContextBytes+int64(len(items))+2 {
		return nil, failure.Of(failure.InvalidRequest, history.TooLong(history.Conversation, "has more than "+strconv.FormatInt(s.MaxContextBytes, 10)+" bytes"))
	}
	if !b.ask.Memory.Hold(2 * size) {
		return nil, b.ask.Memory.Refusal()
	}
	array := append(make([]byte, 0, size), '[')
	for i := range items {
		if i > 0 {
			array = append(array, ',')
		}
		array = append(array, items[i].Data...)
	}
	b.ask.Memory.LetGo(size) // of the items by themselves
	return append(array, ']'), nil
}

// keepJoined stores how the answer for a conversation ended. One that was completed, or
// broke off, becomes a part of it, or must not be given: nothing in it could say that
// it has not.
func (u *Turn) keepJoined(r *state.Record) (kept bool, failed *responses.Error) {
	h := u.hold
	h.stop()
	r.Flags |= state.Conversed
	r.Joins = &state.Joins{Conversation: h.conversation, Holder: h.holder, Discard: !u.Past.Stored}
	r.Joins.Items = itemsOf(r)
	adds := joins(r.Status)
	ctx, cancel := context.WithTimeout(context.Background(), u.turns.cfg.State.CommitTimeout)
	defer cancel()
	err := u.turns.store.Commit(ctx, r)
	switch {
	case err == nil:
		h.freed()
		return true, nil
	case !state.Final(err):
		go h.release() // the client has waited for the store long enough
	}
	switch {
	case !adds, !state.Final(err) && u.turns.cfg.State.OnFailure == config.AnswerOnFailure:
		return false, nil
	case errors.Is(err, state.ErrNotFound):
		return false, conversationMissing("conv_"+h.conversation, history.Conversation).Reply
	case errors.Is(err, state.ErrLost), errors.Is(err, state.ErrDuplicate):
		return false, conversationLocked()
	case errors.Is(err, state.ErrTooLarge):
		return false, history.TooLong(history.Conversation, "is larger than the store may be")
	}
	return false, unavailable().Reply
}

// joins reports whether an answer that ended so becomes a part of its conversation.
func joins(s state.Status) bool { return s == state.Completed || s == state.Incomplete }

// itemsOf are the items that a response adds to its conversation.
func itemsOf(r *state.Record) (items []state.Item) {
	if !joins(r.Status) {
		return nil
	}
	add := func(id string, raw []byte) { items = append(items, state.Item{ID: id, Data: raw}) }
	history.Each(r.Input, false, add)
	history.Each(r.Output, true, add)
	return items
}

// ofConversation is the item of a conversation whose id an item's id has in it, nil when
// the caller has no such item.
func (r *references) ofConversation(random, id string) ([]byte, *failure.Failure) {
	if !r.Stores() {
		return nil, nil
	}
	item, err := r.store.Item(r.ctx, r.owner, random, id)
	switch {
	case errors.Is(err, state.ErrNotFound), errors.Is(err, state.ErrNoItem):
		return nil, nil
	case err != nil:
		return nil, r.broken(r.beginning.ctx, err)
	}
	return item, nil
}
