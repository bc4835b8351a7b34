// Package turns is what a store of responses means to requests: what one goes on
// from, what is kept of its answer before the client is told of its end, and what can
// be asked of it later.
//
//	body of a request ─ Begin ─► Turn: its history, for translation
//	how the answer ended ─ Turn.Keep ─► the store, or why not
//	GET, DELETE … ─ Answer ─► the store ─► the body of an answer
//	/v1/conversations ─ AnswerConversation ─► the store ─► the body of an answer
//
// Requests enter whose caller is known and whose JSON was checked. Everything is
// asked of the store in the name of the caller's owner. No backend and no connection
// is known here.
package turns

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/semaphore"

	"antwort/server/state"
	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/history"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/translate"
)

// Store is a store that knows whether it is there, and who has too much in it.
type Store interface {
	state.Store
	Over(owner state.Owner, limit int64) bool
}

// Turns are the conversations of one configuration in a store.
type Turns struct {
	store   Store
	cfg     *config.Config
	keeping *semaphore.Weighted // of memory for answers that are being kept
}

// Translated says that the request has become one for a model: what it went on from
// is not needed any more.
func (u *Turn) Translated() {
	u.Body = nil
	if u.held > 0 {
		u.Past.Items = nil
		u.memory.LetGo(u.held)
		u.held = 0
	}
}

// New makes the turns of a configuration. store may be nil: then nothing is stored.
func New(cfg *config.Config, store Store) *Turns {
	return &Turns{store, cfg, semaphore.NewWeighted(cfg.Limits.InFlight(false) / keptShare)}
}

// Key is a key that all have who have the store; fresh where there is none.
func (t *Turns) Key(ctx context.Context, name string, fresh []byte) ([]byte, *failure.Failure) {
	if t.store == nil {
		return fresh, nil
	}
	limited, cancel := context.WithTimeout(ctx, t.cfg.State.CommitTimeout)
	defer cancel()
	key, err := t.store.Key(limited, name, fresh)
	if err != nil {
		return nil, t.broken(ctx, err)
	}
	return key, nil
}

// Stores reports whether anything is stored.
func (t *Turns) Stores() bool { return t.store != nil }

// Ask is a request that may go on from a response.
type Ask struct {
	Caller  *policy.Identity
	ID      string // the random part of the ids of its response
	Created int64  // in Unix seconds, as the response says it
	Body    []byte // that responses.Check has passed
	Memory  Memory // is asked for what the history takes

	// Reads says that nothing will be kept, and no conversation waited for.
	Reads bool
	// Compacts says that the conversation is summed up: calls may have no output.
	Compacts bool

	// Aside keeps the answer if no store does; nil: nobody does.
	Aside *AsideTurn

	// Job is the one that the request is worked on for; nil: a client waits. It has
	// passed already what a request must before it is kept.
	Job *state.Job
}

// Memory is asked for what is held.
type Memory interface {
	Hold(n int) bool
	LetGo(n int)
	Refusal() *failure.Failure // what a request is told that there is no room for
}

// Turn is a request, with what it goes on from and what is kept of it.
type Turn struct {
	ID      string          // the random part of the ids of the response
	Created int64           // in Unix seconds
	Body    []byte          // the request's, with the items in the place of references to them
	Refers  bool            // Body is another than that of the request, and longer
	Past    *translate.Past // nil: nothing is stored here

	// Compacted says that a compaction is among the items of the history.
	Compacted bool

	// ToldStreamed says that the events of a response in the background are told.
	ToldStreamed bool

	memory Memory
	held   int          // for what Translated lets go of
	turns  *Turns       // nil: nothing is stored
	record state.Record // but for how it ended
	hold   *hold        // of the conversation that it is for; nil: it is for none
	job    *state.Job
	aside  *asideOf // nil: nobody keeps what no store does
}

// History are the items of the turns before, nil when the request goes on from none.
func (u *Turn) History() []byte {
	if u.Past == nil {
		return nil
	}
	return u.Past.Items
}

// Begin finds out what a request goes on from, and whether its answer will be stored.
// All that it needs of the store is asked for before a model is.
func (t *Turns) Begin(ctx context.Context, a *Ask) (*Turn, *failure.Failure) {
	u := &Turn{ID: a.ID, Created: a.Created, Body: a.Body}
	if !t.Stores() && a.Aside == nil {
		return u, nil
	}
	asked := history.Read(a.Body)
	b := beginning{Turns: t, ctx: ctx, ask: a, explicit: asked.Store == history.Yes, owner: state.Owner(policy.Owner(t.cfg, a.Caller))}
	u.Past = new(translate.Past)
	b.explicit = b.explicit && !a.Reads
	u.Past.Stored = t.Stores() && (b.explicit || asked.Store == history.Unsaid && t.cfg.State.DefaultStore && !a.Reads)
	if asked.Unclear != nil {
		return nil, failure.Of(failure.InvalidRequest, asked.Unclear)
	}
	if f := b.storeless(&asked); f != nil {
		return nil, f
	}
	if asked.Background && !a.Reads {
		if f := b.background(u, &asked); f != nil {
			return nil, f
		}
	}
	if asked.Conversation != "" {
		return u, b.converse(u, &asked)
	}
	chain := b.besides(&asked)
	aside := chain != nil
	if u.job = a.Job; a.Job != nil {
		b.owner = a.Job.Owner
	} else if f := b.check(&asked, asked.Previous != "" && !aside, &u.Past.Stored); f != nil {
		return nil, f
	}
	var f *failure.Failure
	if asked.Previous != "" && !aside {
		if chain, f = b.chain(asked.Previous); f != nil {
			return nil, f
		}
	}
	input, refers, f := b.resolve(asked.Input, chain)
	if f != nil {
		return nil, f
	}
	if refers {
		u.Body, u.Refers = asked.AppendBody(nil, input), true
		if f := b.fits(input, &u.Past.Stored); a.Job == nil && f != nil {
			return nil, f
		}
	}
	if !u.Past.Stored && asked.Previous == "" && a.Aside == nil {
		return u, nil
	}
	kept := history.Keep(make([]byte, 0, len(input)+128), input, a.ID)
	if !a.Memory.Hold(len(kept)) {
		return nil, a.Memory.Refusal()
	}
	if asked.Previous != "" {
		if f = b.join(u, chain, kept); f != nil {
			return nil, f
		}
	}
	if a.Aside != nil {
		b.setAside(u, chain, kept, aside)
		if aside && u.Past.Stored {
			if kept, f = b.whole(u, kept); f != nil {
				return nil, f
			}
		}
	}
	if !u.Past.Stored {
		return u, nil
	}
	u.turns = t
	parent, _ := state.IDOf(asked.Previous)
	if aside {
		parent = ""
	}
	u.record = state.Record{ID: a.ID, Owner: b.owner, Parent: parent, Created: time.Unix(a.Created, 0), TTL: t.cfg.StateTTL(), Input: kept}
	return u, nil
}

// beginning is a request for which the store is asked.
type beginning struct {
	*Turns
	ctx      context.Context
	ask      *Ask
	owner    state.Owner
	explicit bool   // it says itself that it wants to be stored
	field    string // that names what it goes on from; "": previous_response_id
}

// check refuses what cannot be stored although the request says that it must be, or
// continued when it continues what is; other requests are answered without being stored.
func (b *beginning) check(asked *history.Ask, continues bool, stored *bool) *failure.Failure {
	s := &b.cfg.State
	var problem *failure.Failure
	switch {
	case !*stored && !continues:
		return nil
	case b.store.Ready(b.ctx) != nil:
		problem = unavailable()
		if continues || *stored && s.OnFailure == config.FailOnFailure {
			return problem
		}
	case !*stored:
		return nil
	case b.store.Over(b.owner, s.MaxOwnerBytes):
		problem = overQuota()
	}
	if problem != nil && b.explicit {
		return problem
	}
	*stored = *stored && problem == nil
	return b.fits(asked.Input, stored)
}

// fits refuses an input that is too long to be stored although the request says that
// it must be.
func (b *beginning) fits(input []byte, stored *bool) *failure.Failure {
	most := b.cfg.State.MaxInputBytes
	if !*stored || int64(len(input)) <= most {
		return nil
	}
	if b.explicit {
		return failure.Of(failure.TooLarge, responses.NewError(http.StatusRequestEntityTooLarge, "request_too_large",
			"the input is over the "+strconv.FormatInt(most, 10)+" bytes that are stored of a request: send store false"))
	}
	*stored = false
	return nil
}

// chain is the response and all before it.
func (b *beginning) chain(previous string) ([]state.Turn, *failure.Failure) {
	id, ok := state.IDOf(previous)
	if !ok {
		return nil, failure.Of(failure.InvalidRequest, responses.NoPrevious(policy.Clip(previous, 128)))
	}
	s := &b.cfg.State
	ctx, cancel := context.WithTimeout(b.ctx, s.CommitTimeout)
	defer cancel()
	chain, err := b.store.Chain(ctx, b.owner, id, state.Bounds{Depth: s.MaxDepth, Bytes: s.MaxContextBytes})
	return chain, b.refused(err, previous)
}

// refused is what a request is told whose chain the store does not give.
func (b *beginning) refused(err error, previous string) *failure.Failure {
	var missing *state.MissingError
	var long *state.TooLongError
	var e *responses.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &missing):
		e = responses.NoPrevious("resp_" + missing.ID)
		e.Message += " It is what the conversation of '" + previous + "' went on from."
	case errors.Is(err, state.ErrNotFound):
		e = responses.NoPrevious(policy.Clip(previous, 128))
	case errors.As(err, &long) && long.Bound == state.DepthBound:
		e = history.TooLong(history.Previous, "has more than "+strconv.FormatInt(long.Limit, 10)+" responses")
	case errors.As(err, &long):
		e = history.TooLong(history.Previous, "has more than "+strconv.FormatInt(long.Limit, 10)+" bytes")
	case errors.Is(err, state.ErrUnusable):
		why := "has failed and cannot be continued: continue the one before."
		unusable := (*state.UnusableError)(nil)
		switch {
		case !errors.As(err, &unusable):
		case unusable.Conversed:
			why = "belongs to a conversation and is continued by it alone: send conversation."
		case unusable.Status < state.Completed:
			why = "has not ended yet and cannot be continued: wait for its end."
		}
		e = responses.NewError(http.StatusBadRequest, "previous_response_unusable", "Previous response with id '"+previous+"' "+why)
		e.Param = "previous_response_id"
	default:
		return b.broken(b.ctx, err)
	}
	return failure.Of(failure.InvalidRequest, e)
}

// broken is the failure of a store that gave no answer.
func (t *Turns) broken(ctx context.Context, err error) *failure.Failure {
	switch {
	case ctx.Err() != nil:
		return failure.Of(failure.ClientGone, nil)
	case errors.Is(err, state.ErrUnreadable):
		return failure.Of(failure.StateUnreadable, responses.NewError(http.StatusInternalServerError, "state_unreadable",
			"what is stored of this cannot be read here: whoever runs this server has to see to it")).Because(err)
	}
	return unavailable().Because(err)
}

// unavailable is the answer while the store cannot be reached.
func unavailable() *failure.Failure {
	e := responses.NewError(http.StatusServiceUnavailable, "state_unavailable", "stored responses cannot be reached at the moment: try again later")
	e.RetryAfter = "2"
	return failure.Of(failure.StateUnavailable, e)
}

// resolve puts the items in the place of references to them. What it takes is asked
// for before it is taken.
func (b *beginning) resolve(input []byte, chain []state.Turn) (resolved []byte, refers bool, f *failure.Failure) {
	r := references{beginning: b, chain: chain, size: len(input)}
	defer func() {
		if r.cancel != nil {
			r.cancel()
		}
	}()
	resolved, refers, err := history.Resolve(input, func(id string) ([]byte, *responses.Error) {
		item, f := r.find(id)
		if f != nil {
			r.failed = f
			return nil, f.Reply
		}
		return item, nil
	})
	switch {
	case r.failed != nil:
		f = r.failed
	case err != nil:
		f = failure.Of(failure.InvalidRequest, err)
	}
	return resolved, refers, f
}

// references are the items that an input refers to.
type references struct {
	*beginning
	ctx    context.Context // ends in time; nil until an item is looked for
	cancel context.CancelFunc
	chain  []state.Turn
	index  history.Index            // of the chain; nil until an item is looked for
	rows   map[string]history.Index // of other responses that were read, by the random part of their ids
	size   int                      // of the input with what was found
	failed *failure.Failure
}

// find returns the item of an id, nil when the caller has none.
func (r *references) find(id string) ([]byte, *failure.Failure) {
	if r.index == nil {
		r.ctx, r.cancel = context.WithTimeout(r.beginning.ctx, r.cfg.State.CommitTimeout)
		r.index, r.rows = history.Index{}, map[string]history.Index{}
		for i := range r.chain {
			r.index.Add(r.chain[i].Output)
			r.index.Add(r.chain[i].Input)
		}
		if !r.ask.Memory.Hold(copies * r.size) {
			return nil, r.ask.Memory.Refusal()
		}
	}
	item := r.index[id]
	if random, ours := history.Origin(id); item == nil && ours {
		row, f := r.row(random)
		if f != nil {
			return nil, f
		}
		if item = row[id]; item == nil && row == nil {
			if item, f = r.ofConversation(random, id); f != nil {
				return nil, f
			}
		}
	}
	if r.size += len(item); int64(r.size) > r.cfg.State.MaxContextBytes {
		e := responses.NewError(http.StatusBadRequest, "context_too_long", "the input has more than "+strconv.FormatInt(r.cfg.State.MaxContextBytes, 10)+
			" bytes with the items that it refers to: compact it, or start anew")
		e.Param = "input"
		return nil, failure.Of(failure.InvalidRequest, e)
	}
	if !r.ask.Memory.Hold(copies * len(item)) {
		return nil, r.ask.Memory.Refusal()
	}
	return item, nil
}

// copies are how often an item is held that was referred to: in the input, in the
// body, and once more while either grows.
const copies = 3

// row are the items of a response, none when the caller has no such response.
func (r *references) row(random string) (history.Index, *failure.Failure) {
	items, seen := r.rows[random]
	if seen || !r.Stores() {
		return items, nil
	}
	row, err := r.store.Get(r.ctx, r.owner, random)
	switch {
	case err == nil:
		if !r.ask.Memory.Hold(row.Bytes()) {
			return nil, r.ask.Memory.Refusal()
		}
		items = history.Index{}
		items.Add(row.Output)
		items.Add(row.Input)
	case !errors.Is(err, state.ErrNotFound):
		return nil, r.broken(r.beginning.ctx, err)
	}
	r.rows[random] = items
	return items, nil
}

// join puts the history together that stands before the input.
func (b *beginning) join(u *Turn, chain []state.Turn, kept []byte) *failure.Failure {
	size, all := 2, make([]history.Turn, len(chain))
	for i := range chain {
		all[i] = history.Turn{Input: chain[i].Input, Output: chain[i].Output}
		size += len(chain[i].Input) + len(chain[i].Output)
	}
	if !b.ask.Memory.Hold(2 * size) {
		return b.ask.Memory.Refusal()
	}
	u.memory, u.held = b.ask.Memory, 2*size
	rules := history.Rules{Items: b.cfg.Limits.InputItems, Fill: b.cfg.State.OpenCalls == config.Fill, Open: b.ask.Compacts, Field: b.field}
	items, compacted, err := rules.Join(make([]byte, 0, size), all, kept)
	if err != nil {
		return failure.Of(failure.InvalidRequest, err)
	}
	u.Past.Items, u.Compacted = items, compacted
	return nil
}
