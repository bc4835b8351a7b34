package observe

import (
	"sync"
	"sync/atomic"
	"time"

	"antwort/shared/policy"
)

// Flight is an exchange that is under way. Nothing of what it says is in it.
type Flight struct {
	ID, Endpoint string
	Model, Route string // "": not decided yet
	Start        time.Time
	Sent         int64 // bytes of the answer's body
}

// flight is what others may read of a record while its exchange goes on. It is a link of
// the list of those, and but for sent the list's lock guards it.
type flight struct {
	prev, next   *Record
	model, route string
	sent         atomic.Int64
}

// flights are the exchanges that are under way, in the order in which they began.
type flights struct {
	mu          sync.Mutex
	first, last *Record
}

func (f *flights) begin(r *Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.flight.prev = f.last; f.last != nil {
		f.last.flight.next = r
	} else {
		f.first = r
	}
	f.last = r
}

func (f *flights) end(r *Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	own := &r.flight
	if own.prev != nil {
		own.prev.flight.next = own.next
	} else {
		f.first = own.next
	}
	if own.next != nil {
		own.next.flight.prev = own.prev
	} else {
		f.last = own.prev
	}
	own.prev, own.next = nil, nil
}

// Sends tells which route of the configuration takes an exchange, whose model is known.
func (o *Observer) Sends(r *Record, route string) {
	f := &o.flights
	f.mu.Lock()
	defer f.mu.Unlock()
	r.flight.model, r.flight.route = policy.Clip(r.Model, 128), route
}

// Wrote counts bytes of the answer's body.
func (r *Record) Wrote(n int64) {
	r.Sent += n
	r.flight.sent.Store(r.Sent)
}

// Flights are the exchanges that are under way, but for probes: so many at most, those
// first that began first.
func (o *Observer) Flights(most int) (all []Flight) {
	f := &o.flights
	f.mu.Lock()
	defer f.mu.Unlock()
	for r := f.first; r != nil && len(all) < most; r = r.flight.next {
		if !r.Quiet {
			all = append(all, Flight{r.ID, r.Endpoint, r.flight.model, r.flight.route, r.Start, r.flight.sent.Load()})
		}
	}
	return all
}
