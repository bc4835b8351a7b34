package background

import (
	"bytes"
	"context"
	"errors"
	"time"

	"antwort/server/ingress"
	"antwort/server/state"
	"antwort/shared/responses"
)

// Reader reads the events of a job, of those that are there and of those to come.
type Reader struct {
	workers *Workers
	owner   state.Owner
	id      string
	after   int64 // the number of the last event that was read
}

// Reader begins after an event; -1 is the beginning.
func (w *Workers) Reader(owner state.Owner, id string, after int64) *Reader {
	return &Reader{w, owner, id, after}
}

// Client is who reads.
type Client struct {
	Sink      ingress.Sink
	Asked     <-chan struct{} // asks whether the client is still there
	KeepAlive time.Duration   // silence before a sign of life; 0: none is given
	Idle      time.Duration   // how long a write may take
	Hold      func(n int) bool
	LetGo     func(n int)
	Sent      func(n int) // is told of every write
}

// Errors of Follow, beside those of the client's connection.
var (
	ErrGone = errors.New("the events that were to come are gone")
	ErrFull = errors.New("there is no memory for the events")
	ErrStop = errors.New("the process ends before the job does")
)

const (
	farTime = 200 * time.Millisecond // between two looks for what another process adds
	nearBy  = 2 * time.Second        // for what this one does, which tells of it
	// lastTime is how long a reader waits for the end of a job when the process ends.
	lastTime = time.Second
	comment  = ": keep-alive\n\n"
)

// Follow sends the events to the client as they come, to the last one and [DONE]. ctx
// ends with the client's leaving; that of the workers' process leaves time for the
// last ones.
func (r *Reader) Follow(ctx context.Context, c *Client) error {
	more, leave := r.workers.hub.read(r.id)
	defer leave()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.workers.opt.Ending, func() {
		time.AfterFunc(lastTime, func() { cancel(ErrStop) })
	})()
	spoke, failed := time.Now(), time.Time{}
	for {
		log, err := r.workers.opt.Store.Events(ctx, r.owner, r.id, r.after)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, state.ErrNotFound), err == nil && log.Expired:
			return ErrGone
		case errors.Is(err, state.ErrUnreadable):
			return err
		case err != nil && failed.IsZero():
			failed = time.Now()
		case err != nil && time.Since(failed) > c.Idle:
			return err
		}
		if err == nil {
			failed = time.Time{}
			if n := len(log.Batches); n > 0 || log.Ended() {
				if err := r.send(c, log); err != nil || log.Ended() {
					return err
				}
				spoke = time.Now()
			}
			if log.More {
				continue
			}
		}
		if err := r.wait(ctx, c, more, &spoke); err != nil {
			return err
		}
	}
}

// wait waits until it is time to look again.
func (r *Reader) wait(ctx context.Context, c *Client, more <-chan struct{}, spoke *time.Time) error {
	look := farTime
	if r.workers.hub.isHere(r.id) {
		look = nearBy
	}
	next := time.NewTimer(look)
	defer next.Stop()
	alive := (<-chan time.Time)(nil)
	if c.KeepAlive > 0 {
		t := time.NewTimer(time.Until(spoke.Add(c.KeepAlive)))
		defer t.Stop()
		alive = t.C
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-more:
		return nil
	case <-next.C:
		return nil
	case <-alive:
	case <-c.Asked:
	}
	*spoke = time.Now()
	return c.write([]byte(comment), false)
}

// send sends what was read of the log, but what the client has of it already.
func (r *Reader) send(c *Client, log *state.Log) error {
	size := len(responses.Done)
	for i := range log.Batches {
		size += len(log.Batches[i].Data)
	}
	if !c.Hold(2 * size) {
		return ErrFull
	}
	defer c.LetGo(2 * size)
	out := make([]byte, 0, size)
	for _, b := range log.Batches {
		out = append(out, after(b, r.after)...)
		r.after = max(r.after, b.Last)
	}
	if log.Ended() {
		out = append(out, responses.Done...)
	}
	return c.write(out, log.Ended())
}

// after are the events of a batch after that of a number.
func after(b state.Events, number int64) []byte {
	rest := b.Data
	for i := b.First; i <= number && len(rest) > 0; i++ {
		_, rest, _ = bytes.Cut(rest, []byte("\n\n"))
	}
	return rest
}

// write writes at once.
func (c *Client) write(p []byte, last bool) error {
	buf := make([]byte, ingress.Room, ingress.Room+len(p)+16)
	c.Sink.Limit(time.Now().Add(c.Idle))
	_, err := c.Sink.Write(append(buf, p...), last)
	c.Sink.Limit(time.Time{})
	if err == nil {
		c.Sent(len(p))
	}
	return err
}
