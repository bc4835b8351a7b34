// Package modellist keeps what backends list as their models for a few seconds,
// so that many clients that ask for the list are one request to each backend.
//
//	wants ─ Ask ─┬ kept
//	             ├ being fetched by somebody else
//	             └ fetch, a few at once ─► kept
//
// It knows nothing of HTTP. A want's key must tell apart all that the backend
// sees of the request, the caller's identity above all: whoever has the same key
// gets the same list.
package modellist

import (
	"context"
	"sync"
	"time"

	"antwort/shared/config"
	"antwort/shared/failure"
)

// Bounds of one Lists.
const (
	atOnce     = 16       // fetches that run
	waiting    = 1024     // and that wait for their turn
	keptLists  = 1024     // lists
	keptBytes  = 16 << 20 // of all lists that are kept
	failedTime = time.Second
)

// List is what a backend has answered.
type List struct {
	Body    []byte          // JSON; the same for all who get it: it must not be changed
	Backend *config.Backend // that has listed it
	Failure *failure.Failure
}

// Want is a list that somebody wants.
type Want struct {
	Key string
	// Fetch asks a backend, until ctx ends. It runs at most once at a time for a
	// key, perhaps longer than its caller, and must not panic.
	Fetch func(ctx context.Context) List
}

// Lists are those that are kept and those that are being fetched. It is safe for
// concurrent use.
type Lists struct {
	base  context.Context // ends all fetches
	keep  time.Duration
	limit time.Duration
	cause error
	turns chan struct{}

	mu       sync.Mutex
	entries  map[string]*Pending
	bytes    int // of lists that are kept
	fetching int
}

// New makes an empty Lists. keep is how long a list is kept, 0: for nobody but
// those who wait for it. limit is how long a fetch may take, its wait for a turn
// included; cause is then why its context has ended. The end of base ends all.
func New(base context.Context, keep, limit time.Duration, cause error) *Lists {
	return &Lists{base: base, keep: keep, limit: limit, cause: cause, turns: make(chan struct{}, atOnce), entries: make(map[string]*Pending)}
}

// Pending is a list that is there or will be.
type Pending struct {
	done  chan struct{} // closed when list is there
	list  List
	until time.Time // kept; set with list
}

// Ask begins what has to be fetched of the wants and returns at once. It is false,
// and nothing is begun, when too much is being fetched already.
func (l *Lists) Ask(wants []Want) ([]*Pending, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	all := make([]*Pending, len(wants))
	missing := 0
	for i, w := range wants {
		if all[i] = l.entries[w.Key]; all[i] != nil && all[i].isOver(now) {
			l.remove(w.Key)
			all[i] = nil
		}
		if all[i] == nil {
			missing++
		}
	}
	if l.fetching+missing > atOnce+waiting && l.fetching > 0 {
		return nil, false
	}
	for i, w := range wants {
		if all[i] != nil {
			continue
		}
		if all[i] = l.entries[w.Key]; all[i] == nil { // the same key may be wanted twice
			all[i] = l.begin(w)
		}
	}
	return all, true
}

// Wait returns the list, or false when ctx ends before it is there.
func (p *Pending) Wait(ctx context.Context) (List, bool) {
	select {
	case <-p.done:
		return p.list, true
	case <-ctx.Done():
		return List{}, false
	}
}

func (p *Pending) isOver(now time.Time) bool {
	select {
	case <-p.done:
		return !now.Before(p.until)
	default:
		return false
	}
}

// begin fetches a list in a goroutine of its own.
func (l *Lists) begin(w Want) *Pending {
	p := &Pending{done: make(chan struct{})}
	l.entries[w.Key] = p
	l.fetching++
	go func() {
		ctx, cancel := context.WithTimeoutCause(l.base, l.limit, l.cause)
		defer cancel()
		select {
		case l.turns <- struct{}{}:
			defer func() { <-l.turns }()
		case <-ctx.Done():
		}
		p.list = w.Fetch(ctx)
		l.finish(w.Key, p)
	}()
	return p
}

// finish gives the list to those who wait, and keeps it if there is room.
func (l *Lists) finish(key string, p *Pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fetching--
	now, keep := time.Now(), l.keep
	if p.list.Failure != nil {
		keep = min(keep, failedTime)
	}
	p.until = now.Add(keep)
	close(p.done)
	l.bytes += len(p.list.Body)
	if l.bytes > keptBytes || len(l.entries) > keptLists {
		for other, e := range l.entries {
			if e.isOver(now) {
				l.remove(other)
			}
		}
	}
	if keep <= 0 || l.bytes > keptBytes || len(l.entries) > keptLists {
		l.remove(key)
	}
}

// remove forgets a list that is there.
func (l *Lists) remove(key string) {
	if e := l.entries[key]; e != nil {
		l.bytes -= len(e.list.Body)
		delete(l.entries, key)
	}
}
