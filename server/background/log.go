package background

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"antwort/server/ingress"
	"antwort/server/state"
	"antwort/shared/responses"
)

// Log is where the work on a job says what comes of it: the way to a client that is
// not there, and the keeper of the end. Events are stored a moment after they came,
// the last ones in one step with the end. Limit has nothing to limit: storing has its
// own time.
type Log struct {
	workers *Workers
	job     *state.Job
	lose    context.CancelCauseFunc

	// Record makes the record that the job ends as; set it before the first event.
	Record func(o responses.Outcome) *state.Record

	mu      sync.Mutex
	pending []byte
	stored  int64 // the number of the first event that is not
	next    int64 // the number of the next event
	timer   *time.Timer
	record  *state.Record // how the job ends; nil: nobody knows yet
	err     error         // why nothing more is stored
	ended   bool
}

var _ ingress.Sink = (*Log)(nil)

// What is stored of a log at once: what came within a moment, or so many bytes.
const (
	batchTime  = 50 * time.Millisecond
	batchBytes = 64 << 10
)

func newLog(w *Workers, j *state.Job, lose context.CancelCauseFunc) *Log {
	return &Log{workers: w, job: j, lose: lose, stored: j.Next, next: j.Next}
}

// Begin has nothing to do: there is no header.
func (l *Log) Begin(int, http.Header) {}

// Limit has nothing to limit.
func (l *Log) Limit(time.Time) {}

// Write stores events soon; the last ones, with the end, at once.
func (l *Log) Write(buf []byte, last bool) ([]byte, error) {
	p := buf[ingress.Room:]
	if len(p) > 0 && p[0] == ':' { // a sign of life
		p = nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return buf, l.err
	}
	l.add(bytes.TrimSuffix(p, []byte(responses.Done)))
	switch {
	case last:
		return buf, l.finish(l.record)
	case len(l.pending) >= batchBytes:
		l.flush()
	}
	return buf, l.err
}

// Say stores events soon.
func (l *Log) Say(events []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(events)
}

// add takes events. Each ends with an empty line, and there is none within.
func (l *Log) add(events []byte) {
	if !l.job.Flags.Logs() || len(events) == 0 {
		return
	}
	l.next += int64(bytes.Count(events, []byte("\n\n")))
	if l.pending = append(l.pending, events...); l.timer == nil {
		l.timer = time.AfterFunc(batchTime, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.timer = nil
			l.flush()
		})
	}
}

// flush stores what is pending.
func (l *Log) flush() {
	if l.err != nil || l.ended || len(l.pending) == 0 {
		return
	}
	ctx, cancel := l.time()
	defer cancel()
	if err := l.workers.opt.Store.Append(ctx, l.job.Lease, l.batch()); err != nil {
		l.fail(err)
		return
	}
	l.pending, l.stored = l.pending[:0], l.next
	l.workers.hub.tell(l.job.ID)
}

func (l *Log) batch() state.Events {
	return state.Events{First: l.stored, Last: l.next - 1, Data: l.pending}
}

func (l *Log) time() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), l.workers.opt.CommitTime())
}

// fail ends the work: nothing more can be stored.
func (l *Log) fail(err error) {
	l.err = err
	l.lose(ErrLost)
}

// Keep notes how the job ends. It is stored with the last events.
func (l *Log) Keep(o responses.Outcome) (kept bool, failed *responses.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o.Status == "failed" && l.ending() && !l.shown() {
		l.err = errReturned
		return true, nil
	}
	l.record = l.Record(o)
	return true, nil
}

// errReturned is that the job can be begun anew elsewhere.
var errReturned = errors.New("the process has no more time, and nothing of the job was shown")

// ending reports whether the process has no more time.
func (l *Log) ending() bool { return l.workers.opt.Ending.Err() != nil }

// shown reports whether anything was stored that another attempt would not say in the
// same words.
func (l *Log) shown() bool { return l.stored > responses.Queued }

// finish stores the end.
func (l *Log) finish(r *state.Record) error {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	ctx, cancel := l.time()
	defer cancel()
	if l.err = l.workers.opt.Store.Finish(ctx, l.job.Lease, r, l.batch()); l.err == nil {
		l.ended, l.pending = true, nil
		l.workers.hub.tell(l.job.ID)
	}
	return l.err
}

// End is how a job ends without an answer.
type End func(j *state.Job, log []state.Events) (*state.Record, []byte)

// Close ends the work. A job whose end is not stored is given back when the process
// has no more time and nothing of it was shown, or when that is what again says;
// otherwise it ends by end, if it is this process's still. It reports whether that
// was necessary.
func (l *Log) Close(ctx context.Context, again bool, end End) (interrupted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if l.ended || errors.Is(l.err, state.ErrLost) || l.err == nil && errors.Is(context.Cause(ctx), ErrLost) {
		return false
	}
	store, id := l.workers.opt.Store, l.job.ID
	limit, cancel := l.time()
	defer cancel()
	if again || (l.ending() || errors.Is(l.err, errReturned)) && !l.shown() {
		if err := store.Release(limit, l.job.Lease); err != nil {
			l.workers.opt.Log.Warn("a job could not be given back: its lease will lapse", "problem", err.Error())
		}
		return false
	}
	log, err := whole(limit, store, l.job.Owner, id)
	if err != nil {
		return true
	}
	r, events := end(l.job, log)
	l.pending, l.stored = nil, state.Next(log)
	l.next = l.stored
	if l.job.Flags.Logs() {
		l.pending = events
		l.next += int64(bytes.Count(events, []byte("\n\n")))
	}
	_ = l.finish(r) // or its lease lapses
	return true
}

// whole reads a whole log.
func whole(ctx context.Context, s state.Store, owner state.Owner, id string) (all []state.Events, err error) {
	for after := int64(-1); ; after = state.Next(all) - 1 {
		log, err := s.Events(ctx, owner, id, after)
		if err != nil {
			return nil, err
		}
		if all = append(all, log.Batches...); !log.More {
			return all, nil
		}
	}
}
