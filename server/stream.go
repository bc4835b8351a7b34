package server

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"antwort/server/buffer"
	"antwort/server/dispatch"
	"antwort/server/ingress"
	"antwort/server/upstream"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// events turns upstream bytes into the bytes of whole events for the client.
type events interface {
	// Write appends the events that p completes. An error of kind
	// *responses.Error is only possible before any were produced.
	Write(dst, p []byte, now int64) ([]byte, error)
	// Start appends the first events although the upstream has sent nothing.
	Start(dst []byte) []byte
	// End appends what a stream that has ended still needs: nothing, or the
	// terminal events that cause (nil: the upstream just stopped) calls for.
	End(dst []byte, cause *responses.Error, now int64) []byte
	// Done reports that nothing more will come.
	Done() bool
	// Outcome is how they ended, or how far they have come. Its Resource is a part
	// of what Write or End appended, until Release.
	Outcome() responses.Outcome
	// Release ends the use of what Write was given.
	Release()
}

// stream is a streamed answer on its way. One goroutine pumps upstream bytes
// to the client; a timer, for silent times, writes keep-alive comments between
// events and ends what is silent for too long. mu orders the two.
type stream struct {
	x      *exchange
	ctx    context.Context // of the upstream's work
	cancel context.CancelCauseFunc
	events events
	anew   func() events  // for another backend's answer
	taken  *ingress.Taken // nil: the answer goes through net/http

	keepAlive time.Duration // silence before a comment; 0: none
	idle      atomic.Int64  // silence of either side before the end, a time.Duration
	timer     *time.Timer
	writing   atomic.Int64 // when the present write began, nanoseconds after x.rec.Start; 0: none

	mu        sync.Mutex
	out       ingress.Sink
	ans       *upstream.Answer // nil until its header came
	listening bool             // it did, so that silence counts
	head      http.Header      // to begin with; nil: our own
	begun     bool             // status and header are written
	over      bool             // the answer has ended
	whole     bool             // … as it should
	heard     time.Time        // when the upstream last sent something
	wrote     time.Time        // when the client last got something
}

// newStream makes the stream of an answer; ctx and cancel are its work's. It
// takes the client's connection over when it can.
func (x *exchange) newStream(ctx context.Context, cancel context.CancelCauseFunc, anew func() events) *stream {
	st := &stream{x: x, ctx: ctx, cancel: cancel, events: anew(), anew: anew, keepAlive: x.gen.cfg.Server.KeepAliveInterval}
	st.idle.Store(int64(x.idle()))
	st.heard = time.Now()
	st.wrote = st.heard
	x.rec.Streamed = true
	x.gen.observer.Streams(1)
	if st.taken = x.takeOver(cancel); st.taken != nil {
		st.out = st.taken.Sink()
		st.taken.WhenAsked(st.ask)
	} else {
		st.out = ingress.NewWriterSink(x.w)
		st.out.Limit(time.Time{}) // an earlier answer's
		ingress.WhenAsked(x.r, st.ask)
	}
	return st
}

// takeOver takes the client's connection over; nil when the answer goes through
// net/http.
func (x *exchange) takeOver(gone context.CancelCauseFunc) *ingress.Taken {
	if !x.gen.cfg.Server.TakeOver || x.upload != nil {
		return nil
	}
	taken := x.gen.door.Take(x.w, x.r, func() { gone(dispatch.ErrClientGone) })
	if taken != nil {
		x.unlink() // net/http ends the request's context when the handler returns
		x.detached, x.w, x.r = true, nil, nil
	}
	return taken
}

// run calls serve in the goroutine that may wait for long.
func (st *stream) run(serve func(*stream)) {
	if st.taken != nil {
		go st.guard(serve)
		return
	}
	st.guard(serve)
}

const never = 1<<63 - 1 // a time.Duration that does not pass

// guard ends the answer and the exchange however serve ends.
func (st *stream) guard(serve func(*stream)) {
	defer func() {
		if p := recover(); p != nil {
			st.x.panicked(p)
			st.endBroken()
		}
		st.timer.Stop()
		st.x.gen.observer.Streams(-1)
		if st.taken != nil {
			st.taken.Finish(st.whole)
			st.x.finish()
			defer st.taken.Done()
		}
		if st.ans != nil && st.whole {
			dispatch.Discard(st.ans) // often only the end of the body is left
		} else if st.ans != nil {
			st.ans.Close()
		}
		if st.over {
			st.x.call.Drop()
		}
		st.cancel(nil)
		if st.taken == nil && st.begun && !st.whole {
			panic(http.ErrAbortHandler) // the client must not take it for the end
		}
	}()
	// tick reads st.timer without the lock: it is there before the first tick.
	st.timer = time.AfterFunc(never, st.tick)
	st.timer.Reset(st.nextTick(st.heard))
	serve(st)
}

// endBroken ends the answer after a panic, as well as it can: the panic may
// have left the events in any state.
func (st *stream) endBroken() {
	defer func() {
		if recover() != nil {
			st.over = true
		}
	}()
	st.end(policy.Internal())
}

// pump moves the upstream's events to the client until either ends. The failure is
// that of an upstream that ended before anything was the client's.
func (st *stream) pump(ans *upstream.Answer) *failure.Failure {
	defer func() {
		st.x.rec.Outcome = st.events.Outcome()
		st.x.rec.Outcome.Resource = nil // its bytes are used again
	}()
	ans.DropHeader()
	st.mu.Lock()
	st.ans, st.listening, st.heard = ans, true, time.Now()
	st.idle.Store(int64(st.x.idle()))
	st.timer.Reset(st.nextTick(st.heard))
	if st.begun || !st.x.call.MayMove() {
		st.settle()
	}
	st.mu.Unlock()
	for {
		ans.Wait() // without holding a buffer
		in := buffer.Get()
		n, err := ans.Read(in.B[:cap(in.B)])
		more, f := st.feed(in.B[:n], err)
		in.Put()
		if !more {
			return f
		}
	}
}

// settle lets go of the request: the answer will be nobody else's.
func (st *stream) settle() {
	st.anew = nil
	if st.ans.Sending() { // an early answer: the rest of the request is still read from there
		st.x.call.Settle()
	} else {
		st.x.call.Drop()
	}
}

// feed passes upstream bytes on. more is false at the end of the answer, with the
// failure of one of which nothing is the client's.
func (st *stream) feed(p []byte, readErr error) (more bool, f *failure.Failure) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.over {
		return false, nil
	}
	st.heard = time.Now()
	out := buffer.Get()
	defer out.Put()
	out.B = append(out.B, noRoom[:]...)
	now := st.x.gen.unix()
	var err error
	if len(p) > 0 {
		defer st.events.Release()
		if out.B, err = st.events.Write(out.B, p, now); err != nil {
			st.refuse(err, out)
			return false, nil
		}
	}
	last := st.events.Done()
	if readErr != nil && !last {
		last = true
		if !st.begun && len(out.B) == ingress.Room {
			return false, st.endUnheard(readErr)
		}
		var cause *responses.Error // nil: they just ended
		if readErr != io.EOF {
			f := st.x.call.Broken(st.ctx, readErr)
			st.x.rec.Fail(f.Kind, f.Cause)
			if cause = f.Reply; cause == nil { // nobody is there to be told
				st.over = true
				return false, nil
			}
		}
		out.B = st.events.End(out.B, cause, now)
	}
	if len(out.B) > ingress.Room || last {
		st.write(out, last)
		st.settle()
		st.heard = st.wrote // while it wrote, nobody listened
	}
	return !st.over, nil
}

// endUnheard ends an answer of which nothing is the client's, so that another
// backend's may come in its place.
func (st *stream) endUnheard(readErr error) *failure.Failure {
	if readErr == io.EOF {
		readErr = nil
	}
	f := st.x.call.Broken(st.ctx, readErr)
	st.ans.Close()
	st.ans, st.listening, st.head = nil, false, nil
	if st.x.call.MayMove() {
		st.events = st.anew()
	}
	return f
}
