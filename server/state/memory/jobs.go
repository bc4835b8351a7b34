package memory

import (
	"container/list"
	"context"
	"time"

	"antwort/server/state"
)

// jobs are the responses in the background.
type jobs struct {
	open list.List // of *response: those that have not ended, in their order
	logs list.List // of *response: those that have, with their logs
}

// job is what a response in the background has besides.
type job struct {
	place   *list.Element // in jobs; nil: it has ended, and has no log
	request content
	lease   int64 // until when, in milliseconds; 0: nobody works on it
	attempt int64
	tries   int
	log     []batch
	until   int64 // when its log goes, in milliseconds; 0: it has not ended
}

// content is where some bytes are.
type content struct {
	size int
	at   []uint32
}

// batch are events of a log.
type batch struct {
	first, last int64
	content
}

// put puts bytes into blocks, and counts them.
func (s *Store) put(t *thread, p []byte) content {
	s.account(t, 0, cost(len(p))-overhead+batchOverhead)
	return content{len(p), s.blocks.write(p)}
}

// batchOverhead is what a batch takes beside the content, in bytes.
const batchOverhead = 256

// free gives bytes back.
func (s *Store) free(t *thread, c content) {
	s.blocks.free(c.at)
	s.account(t, 0, -(cost(c.size) - overhead + batchOverhead))
}

// forget lets go of what a response has as a job.
func (s *Store) forget(r *response) {
	s.closeJob(r)
	s.forgetLog(r)
	r.job = nil
}

// closeJob ends the work on a response.
func (s *Store) closeJob(r *response) {
	j := r.job
	if r.status >= state.Completed {
		return
	}
	s.free(r.thread, j.request)
	j.request, j.lease = content{}, 0
	s.jobs.open.Remove(j.place)
	j.place = nil
	r.thread.jobs--
}

// forgetLog removes the log of a response.
func (s *Store) forgetLog(r *response) {
	for _, b := range r.job.log {
		s.free(r.thread, b.content)
	}
	r.job.log = nil
	if r.job.place != nil {
		s.jobs.logs.Remove(r.job.place)
		r.job.place = nil
	}
}

// sweepLogs removes logs whose time is over.
func (s *Store) sweepLogs(at int64) {
	for e := s.jobs.logs.Front(); e != nil; {
		r := e.Value.(*response)
		if e = e.Next(); r.job.until <= at {
			s.forgetLog(r)
		}
	}
}

// Accept keeps a response that nobody has begun.
func (s *Store) Accept(ctx context.Context, j *state.Job, queue int) error {
	if err := j.CheckQueued(); err != nil {
		return err
	}
	if err := s.open(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if r := s.responses[j.ID]; r != nil {
		if r.is(&j.Record) && r.flags == j.Flags {
			return nil // it was kept before
		}
		return state.ErrConflict
	}
	waiting := 0
	for e := s.jobs.open.Front(); e != nil; e = e.Next() {
		if e.Value.(*response).thread.owner == j.Owner {
			waiting++
		}
	}
	if queue > 0 && waiting >= queue {
		return state.ErrQueueFull
	}
	var c *conversation
	if j.Joins != nil {
		t := s.conversations[j.Joins.Conversation]
		if t == nil || t.owner != j.Owner {
			return state.ErrNotFound
		}
		if c = t.conversation; c.holder != j.Joins.Holder {
			return state.ErrLost
		}
	}
	r, err := s.keep(&j.Record, cost(len(j.Request))+cost(len(j.Events.Data)))
	if err != nil {
		return err
	}
	if c != nil {
		c.holder, c.until = r.id, s.now().Add(state.JobLock).UnixMilli()
	}
	r.job = &job{request: s.put(r.thread, j.Request)}
	r.job.place = s.jobs.open.PushBack(r)
	r.thread.jobs++
	s.log(r, j.Events)
	return nil
}

// log adds events to a log, unless they are there.
func (s *Store) log(r *response, e state.Events) {
	if len(e.Data) > 0 && e.First >= r.nextEvent() {
		r.job.log = append(r.job.log, batch{e.First, e.Last, s.put(r.thread, e.Data)})
	}
}

// nextEvent is the number of the next event of a log.
func (r *response) nextEvent() int64 {
	if n := len(r.job.log); n > 0 {
		return r.job.log[n-1].last + 1
	}
	return 0
}

// Claim takes the oldest job that nobody has.
func (s *Store) Claim(ctx context.Context, lease time.Duration) (*state.Job, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now := s.now()
	for e := s.jobs.open.Front(); e != nil; e = e.Next() {
		r := e.Value.(*response)
		if r.job.lease > now.UnixMilli() {
			continue
		}
		j := r.job
		r.status, j.lease = state.InProgress, now.Add(lease).UnixMilli()
		j.attempt++
		j.tries++
		record := s.record(r)
		return &state.Job{
			Record: *record, Request: s.blocks.read(j.request.at, j.request.size),
			Lease: state.Lease{ID: r.id, Owner: record.Owner, Attempt: j.attempt}, Tries: j.tries, Next: r.nextEvent(),
		}, nil
	}
	return nil, state.ErrNotFound
}

// held returns the response of a lease that is still the caller's, or nil.
func (s *Store) held(l state.Lease) *response {
	if r := s.responses[l.ID]; r != nil && r.job != nil && r.job.attempt == l.Attempt && r.status == state.InProgress {
		return r
	}
	return nil
}

// Renew lets leases be valid for longer.
func (s *Store) Renew(ctx context.Context, leases []state.Lease, lease time.Duration) (held []state.Lease, err error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	until := s.now().Add(lease).UnixMilli()
	for _, l := range leases {
		if r := s.held(l); r != nil {
			r.job.lease = until
			held = append(held, l)
		}
	}
	return held, nil
}

// Release gives a lease back.
func (s *Store) Release(ctx context.Context, l state.Lease) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	r := s.held(l)
	if r == nil {
		return state.ErrLost
	}
	r.status, r.job.lease = state.Queued, 0
	r.job.tries--
	return nil
}

// Append adds events to the log.
func (s *Store) Append(ctx context.Context, l state.Lease, e state.Events) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	r := s.held(l)
	if r == nil {
		return state.ErrLost
	}
	if !s.room(r.thread, cost(len(e.Data))) {
		return state.ErrTooLarge
	}
	s.log(r, e)
	return nil
}

// Finish ends a job. One that has failed always finds room: what it needs is little.
func (s *Store) Finish(ctx context.Context, l state.Lease, rec *state.Record, e state.Events) error {
	if err := rec.Check(); err != nil {
		return err
	}
	if err := s.open(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	r := s.responses[rec.ID]
	switch {
	case r == nil || r.job == nil || r.job.attempt != l.Attempt:
		return state.ErrLost
	case r.status == rec.Status:
		return nil // it was ended before
	case r.status != state.InProgress:
		return state.ErrLost
	}
	need, batch := int64(0), state.Batch{}
	if rec.Joins != nil {
		var err error
		c := r.thread.conversation
		batch = rec.Batch()
		if c.holder != r.id && len(batch.Items) > 0 {
			return state.ErrLost
		}
		if need, err = c.fits(batch); err != nil {
			return err
		}
	}
	if rec.Status != state.Failed && !s.room(r.thread, need+cost(rec.Bytes())+cost(len(e.Data))) {
		return state.ErrTooLarge
	}
	s.add(r.thread, batch)
	s.finish(r, rec, e)
	return nil
}

// finish writes how a job has ended.
func (s *Store) finish(r *response, rec *state.Record, e state.Events) {
	s.log(r, e)
	s.closeJob(r)
	input := s.blocks.read(r.at, r.input)
	before := cost(r.input + r.output + r.shell)
	s.blocks.free(r.at)
	r.status, r.output, r.shell, r.cut = rec.Status, len(rec.Output), len(rec.Shell), rec.Cut
	r.at = s.blocks.write(input, rec.Output, rec.Shell)
	s.account(r.thread, 0, cost(r.input+r.output+r.shell)-before)
	s.touch(r.thread, rec.TTL)
	r.unlock()
	if r.flags.Logs() {
		r.job.until = s.now().Add(rec.Replay).UnixMilli()
		r.job.place = s.jobs.logs.PushBack(r)
	}
}

// unlock lets go of the conversation that a job has.
func (r *response) unlock() {
	if c := r.thread.conversation; c != nil && c.holder == r.id {
		c.holder = ""
	}
}

// Cancel ends a job that has not ended.
func (s *Store) Cancel(ctx context.Context, owner state.Owner, id string, end func(*state.Record, []state.Events) []byte) (*state.Record, error) {
	r, err := s.look(ctx, owner, id)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	rec := s.record(r)
	if rec.Status < state.Completed {
		log := make([]state.Events, len(r.job.log))
		for i, b := range r.job.log {
			log[i] = state.Events{First: b.first, Last: b.last, Data: s.blocks.read(b.at, b.size)}
		}
		next, data := state.Next(log), end(rec, log)
		s.finish(r, rec, state.Events{First: next, Last: next, Data: data})
	}
	return rec, nil
}

// Events reads the log after an event.
func (s *Store) Events(ctx context.Context, owner state.Owner, id string, after int64) (*state.Log, error) {
	r, err := s.look(ctx, owner, id)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	log := &state.Log{Flags: r.flags, Status: r.status}
	if log.Expired = r.status >= state.Completed && (r.job == nil || r.job.until <= s.now().UnixMilli()); log.Expired {
		return log, nil
	}
	for _, b := range r.job.log {
		if b.last <= after {
			continue
		}
		if log.More = len(log.Batches) == state.LogRows; log.More {
			break
		}
		log.Batches = append(log.Batches, state.Events{First: b.first, Last: b.last, Data: s.blocks.read(b.at, b.size)})
	}
	return log, nil
}

// Queued is how many jobs nobody works on.
func (s *Store) Queued(ctx context.Context) (n int, err error) {
	if err := s.open(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	for e := s.jobs.open.Front(); e != nil; e = e.Next() {
		if e.Value.(*response).status == state.Queued {
			n++
		}
	}
	return n, nil
}
