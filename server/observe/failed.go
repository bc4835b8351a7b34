package observe

import (
	"sync"
	"time"

	"antwort/shared/failure"
	"antwort/shared/policy"
)

// Failed is an exchange that went wrong. Nothing of what it was about is in it.
type Failed struct {
	At       time.Time // of its end
	ID       string
	Endpoint string
	Model    string
	Route    string
	Backend  string
	Status   int
	Kind     failure.Kind
	Limit    string // that has refused it
	Took     time.Duration
}

// maxFailed is how many failures are remembered.
const maxFailed = 50

// failures remembers the last exchanges that went wrong.
type failures struct {
	mu   sync.Mutex
	all  [maxFailed]Failed
	seen int // so many there were
}

func (f *failures) note(r *Record) {
	if r.Failure == failure.None {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all[f.seen%maxFailed] = Failed{
		At: r.Start.Add(r.took), ID: r.ID, Endpoint: r.Endpoint, Model: policy.Clip(r.Model, 128), Route: r.Route, Backend: r.Backend,
		Status: r.Status, Kind: r.Failure, Limit: r.Limit, Took: r.took,
	}
	f.seen++
}

// Failures are the last exchanges that went wrong, the newest first, and how many there
// were in all. Where that is known already nothing is returned.
func (o *Observer) Failures(known int) (last []Failed, seen int) {
	f := &o.failed
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == known {
		return nil, known
	}
	for i := range min(f.seen, maxFailed) {
		last = append(last, f.all[(f.seen-1-i)%maxFailed])
	}
	return last, f.seen
}
