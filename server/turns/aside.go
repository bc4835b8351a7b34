package turns

import (
	"slices"

	"antwort/server/state"
	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/history"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// lanes is of how many lanes of a connection the last response is kept aside.
const lanes = 4

// Aside are the last responses of one connection that no store has: of each lane one,
// with all before it. It is for one turn at a time.
type Aside struct {
	Memory Memory // is asked for what they take
	kept   []*aside
}

// aside is a response that no store has.
type aside struct {
	lane  string
	owner state.Owner
	id    string       // the random part
	chain []state.Turn // the response and all before it, the oldest first
	size  int          // of chain
}

// AsideTurn is a turn whose answer is kept aside if no store takes it.
type AsideTurn struct {
	*Aside
	Lane string
}

// find is the response and all before it; nil when there is none.
func (a *Aside) find(owner state.Owner, id string) []state.Turn {
	if i := a.index(func(k *aside) bool { return k.id == id && k.owner == owner }); i >= 0 {
		return a.kept[i].chain
	}
	return nil
}

func (a *Aside) index(is func(*aside) bool) int { return slices.IndexFunc(a.kept, is) }

// Evict forgets a response, by its id on the wire.
func (a *Aside) Evict(wire string) {
	if id, ok := state.IDOf(wire); ok {
		a.drop(a.index(func(k *aside) bool { return k.id == id }))
	}
}

// drop forgets one of those that are kept.
func (a *Aside) drop(i int) {
	if i >= 0 {
		a.Memory.LetGo(a.kept[i].size)
		a.kept = slices.Delete(a.kept, i, i+1)
	}
}

// keep keeps a response in place of its lane's last one; nil: a store has it. The lane
// that was used longest ago makes room for another one.
func (a *Aside) keep(lane string, k *aside) {
	a.drop(a.index(func(k *aside) bool { return k.lane == lane }))
	if k == nil || !a.Memory.Hold(k.size) {
		return // it will not be found, which is said
	}
	if len(a.kept) == lanes {
		a.drop(0)
	}
	a.kept = append(a.kept, k)
}

// asideOf is what a turn needs to be kept aside.
type asideOf struct {
	AsideTurn
	owner state.Owner
	chain []state.Turn // what it goes on from
	input []byte
	cfg   *config.Config
}

// setAside keeps aside how the turn ended, if it can be continued and no store has it.
func (u *Turn) setAside(o responses.Outcome, stored bool) {
	a, status := u.aside, statuses[o.Status]
	if a == nil || status != state.Completed && status != state.Incomplete {
		return
	}
	if stored {
		a.keep(a.Lane, nil)
		return
	}
	last := state.Turn{ID: u.ID, Status: status, Input: a.input, Output: outputOf(o)}
	k := &aside{lane: a.Lane, owner: a.owner, id: u.ID, chain: append(slices.Clip(a.chain), last)}
	for i := range k.chain {
		k.size += len(k.chain[i].Input) + len(k.chain[i].Output)
	}
	s := &a.cfg.State
	if len(k.chain) > s.MaxDepth || int64(k.size) > s.MaxContextBytes {
		a.keep(a.Lane, nil)
		return
	}
	a.keep(a.Lane, k)
}

// storeless refuses what only a store can do, where there is none.
func (b *beginning) storeless(asked *history.Ask) *failure.Failure {
	var e *responses.Error
	switch id, ok := state.IDOf(asked.Previous); {
	case b.Stores():
		return nil
	case asked.Conversation != "":
		e = responses.NoConversations()
	case asked.Background:
		e = responses.NoBackground()
	case asked.Previous != "" && (!ok || b.ask.Aside.find(b.owner, id) == nil):
		e = responses.NoPrevious(policy.Clip(asked.Previous, 128))
	default:
		return nil
	}
	return failure.Of(failure.InvalidRequest, e)
}

// besides is what the request goes on from, if that is kept aside.
func (b *beginning) besides(asked *history.Ask) []state.Turn {
	id, ok := state.IDOf(asked.Previous)
	if b.ask.Aside == nil || !ok {
		return nil
	}
	return b.ask.Aside.find(b.owner, id)
}

// setAside notes what is needed to keep the answer aside. What a store gave of the turns
// before stays until the end.
func (b *beginning) setAside(u *Turn, chain []state.Turn, kept []byte, aside bool) {
	u.aside = &asideOf{AsideTurn: *b.ask.Aside, owner: b.owner, chain: chain, input: kept, cfg: b.cfg}
	if !aside {
		u.held /= 2
	}
}

// whole is the input of a response that is stored and goes on from one that is not:
// all before it, and its own.
func (b *beginning) whole(u *Turn, kept []byte) ([]byte, *failure.Failure) {
	past := u.Past.Items
	if len(past) <= len("[]") || len(kept) <= len("[]") {
		if len(kept) <= len("[]") {
			kept = past
		}
		return slices.Clone(kept), b.fits(kept, &u.Past.Stored)
	}
	size := len(past) + len(kept)
	if !b.ask.Memory.Hold(size) {
		return nil, b.ask.Memory.Refusal()
	}
	all := append(append(make([]byte, 0, size), past[:len(past)-1]...), ',')
	all = append(all, kept[1:]...)
	return all, b.fits(all, &u.Past.Stored)
}
