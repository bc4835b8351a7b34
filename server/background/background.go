// Package background works on responses while nobody waits for them, and shows
// whoever asks what has come of them.
//
//	Claim ─► job ─► Run, which says into a Log ─► Append, Finish ─► the store
//	                                 │ a word that there is more
//	clients ─► Reader.Follow ◄───────┘ ◄── Events ◄── the store
//
// Jobs of a store enter, and clients who read their events. What is in a request and
// how it is answered is the business of Run. What a client reads was stored before,
// whichever process works on the job.
package background

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"antwort/server/state"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are what workers are made with.
type Options struct {
	Store   state.Store
	Workers int           // jobs at a time
	Lease   time.Duration // of a job
	Ready   func() bool   // whether there is anybody to ask; nil: there is
	// Run works on a job until it has ended, or ctx has.
	Run        func(ctx context.Context, j *state.Job, l *Log)
	Ending     context.Context // ends when the process has no more time for jobs
	CommitTime func() time.Duration
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Workers are those of one process.
type Workers struct {
	opt     Options
	hub     hub
	wake    chan struct{}
	slots   chan struct{}
	metrics *metrics

	mu      sync.Mutex
	running map[state.Lease]context.CancelCauseFunc
	stopped bool
	all     sync.WaitGroup // jobs that run
	queued  atomic.Int64
}

// ErrLost is why the work on a job ends that is no longer this process's: it was
// cancelled, deleted, or taken over.
var ErrLost = errors.New("the job is no longer this process's")

// New makes workers. They do nothing until Work.
func New(opt Options) *Workers {
	w := &Workers{
		opt: opt, wake: make(chan struct{}, 1), slots: make(chan struct{}, opt.Workers),
		running: map[state.Lease]context.CancelCauseFunc{},
	}
	w.metrics = newMetrics(w, opt.Registerer)
	return w
}

// pollTime is how often jobs are looked for that nobody has told of: those of other
// processes.
const pollTime = 2 * time.Second

// renewTime is how often it is looked whether jobs are still this process's, at most.
const renewTime = time.Second

// Work claims jobs and works on them until ctx ends. What runs then goes on: see Wait.
func (w *Workers) Work(ctx context.Context) {
	go w.renew() //nolint:gosec // what runs goes on after ctx has ended
	poll := time.NewTicker(pollTime)
	defer poll.Stop()
	for {
		w.claim(ctx)
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
			if n, err := w.opt.Store.Queued(ctx); err == nil {
				w.queued.Store(int64(n))
			}
		case <-w.wake:
		}
	}
}

// Wake says that there may be a job to claim.
func (w *Workers) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Wait waits until no job runs any more, or ctx ends. None begins from now on.
func (w *Workers) Wait(ctx context.Context) {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	over := make(chan struct{})
	go func() {
		w.all.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-ctx.Done():
	}
}

// claim claims jobs while there are some, and somebody to work on them.
func (w *Workers) claim(ctx context.Context) {
	for ctx.Err() == nil && (w.opt.Ready == nil || w.opt.Ready()) {
		select {
		case w.slots <- struct{}{}:
		default:
			return
		}
		j, err := w.opt.Store.Claim(ctx, w.opt.Lease)
		if err == nil && w.begin(j) {
			continue
		}
		<-w.slots
		if err != nil && !errors.Is(err, state.ErrNotFound) && !errors.Is(err, state.ErrUnavailable) {
			w.opt.Log.Error("claiming a job failed", "problem", err.Error())
		}
		if !errors.Is(err, state.ErrUnreadable) { // there may be others
			return
		}
	}
}

// begin starts the work on a job, unless no more is begun: then its lease lapses.
func (w *Workers) begin(j *state.Job) bool {
	ctx, cancel := context.WithCancelCause(context.Background())
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		cancel(nil)
		return false
	}
	w.running[j.Lease] = cancel
	w.all.Add(1)
	w.hub.runs(j.ID, true)
	if j.Tries > 1 {
		w.metrics.recovered.Inc()
	}
	go w.run(ctx, cancel, j)
	return true
}

func (w *Workers) run(ctx context.Context, cancel context.CancelCauseFunc, j *state.Job) {
	defer func() {
		cancel(nil)
		w.mu.Lock()
		delete(w.running, j.Lease)
		w.mu.Unlock()
		w.hub.runs(j.ID, false)
		<-w.slots
		w.Wake()
		w.all.Done()
	}()
	w.opt.Run(ctx, j, newLog(w, j, cancel))
}

// renew keeps the leases of what runs, and ends the work on what is no longer ours.
func (w *Workers) renew() {
	tick := time.NewTicker(min(renewTime, w.opt.Lease/4))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-w.opt.Ending.Done(): // what runs ends now, well within its lease
			return
		}
		leases := w.leases()
		ctx, cancel := context.WithTimeout(context.Background(), w.opt.Lease/2)
		held, err := w.opt.Store.Renew(ctx, leases, w.opt.Lease)
		cancel()
		if err == nil {
			w.lose(leases, held)
		}
	}
}

func (w *Workers) leases() (all []state.Lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := range w.running {
		all = append(all, l)
	}
	return all
}

// lose ends the work on jobs that were asked for and are not held.
func (w *Workers) lose(asked, held []state.Lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	still := make(map[state.Lease]bool, len(held))
	for _, l := range held {
		still[l] = true
	}
	for _, l := range asked {
		if cancel := w.running[l]; cancel != nil && !still[l] {
			cancel(ErrLost)
		}
	}
}

// Cancelled says that a job was cancelled or deleted: if it runs here, that ends at
// once, and who reads its events looks for the last.
func (w *Workers) Cancelled(id string) {
	w.mu.Lock()
	for l, cancel := range w.running {
		if l.ID == id {
			cancel(ErrLost)
		}
	}
	w.mu.Unlock()
	w.hub.tell(id)
}
