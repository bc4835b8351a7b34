package memory

import (
	"context"
	"time"

	"antwort/server/state"
)

func (t *thread) place() state.Place {
	return state.Place{Created: time.UnixMilli(t.created), ID: t.id}
}

func (r *response) place() state.Place {
	return state.Place{Created: time.UnixMilli(r.created), ID: r.id}
}

// Threads returns threads of an owner.
func (s *Store) Threads(ctx context.Context, owner state.Owner, after state.Place, limit int) ([]state.Thread, bool, error) {
	if err := s.open(ctx); err != nil {
		return nil, false, err
	}
	defer s.mu.Unlock()
	first := state.First[*thread]{Most: limit + 1, Compare: func(a, b *thread) int { return b.place().Compare(a.place()) }}
	if o := s.owners[owner]; o != nil {
		for t := range o.threads {
			if after.ID == "" || t.place().Compare(after) < 0 {
				first.Add(t)
			}
		}
	}
	found, more := state.Cut(first.All, limit)
	threads := make([]state.Thread, len(found))
	for i, t := range found {
		one := state.Thread{Place: t.place(), Conversation: t.conversation != nil, Bytes: t.bytes}
		if t.expires != 0 {
			one.Expires = time.UnixMilli(t.expires)
		}
		for r := t.responses; r != nil; r = r.next {
			one.Responses++
		}
		threads[i] = one
	}
	return threads, more, nil
}

// threadOf is an owner's thread; nil: there is none. mu is held.
func (s *Store) threadOf(owner state.Owner, id string) *thread {
	if t := s.conversations[id]; t != nil && t.owner == owner {
		return t
	}
	if r := s.find(owner, id); r != nil && r.thread.id == id {
		return r.thread
	}
	if o := s.owners[owner]; o != nil { // the response that began it is gone, perhaps
		for t := range o.threads {
			if t.id == id {
				return t
			}
		}
	}
	return nil
}

// Responses returns where responses of a thread are.
func (s *Store) Responses(ctx context.Context, owner state.Owner, thread string, after state.Place, limit int) ([]state.Place, bool, error) {
	if err := s.open(ctx); err != nil {
		return nil, false, err
	}
	defer s.mu.Unlock()
	first := state.First[state.Place]{Most: limit + 1, Compare: state.Place.Compare}
	if t := s.threadOf(owner, thread); t != nil {
		for r := t.responses; r != nil; r = r.next {
			if r.place().Compare(after) > 0 {
				first.Add(r.place())
			}
		}
	}
	places, more := state.Cut(first.All, limit)
	return places, more, nil
}

// DeleteThread removes a thread.
func (s *Store) DeleteThread(ctx context.Context, owner state.Owner, id string) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	t := s.threadOf(owner, id)
	if t == nil {
		return state.ErrNotFound
	}
	s.drop(t)
	return nil
}
