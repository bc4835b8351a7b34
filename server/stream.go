package server

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"antwort/server/upstream"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/translate"
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
	Usage() (responses.Usage, bool)
}

// stream is a streamed answer on its way. One goroutine pumps upstream bytes
// to the client; a timer, for silent times, writes keep-alive comments between
// events and ends what is silent for too long. mu orders the two.
type stream struct {
	x      *exchange
	ctx    context.Context // of the upstream's work
	cancel context.CancelCauseFunc
	events events
	taken  *takenConn // nil: the answer goes through net/http

	keepAlive time.Duration // silence before a comment; 0: none
	idle      time.Duration // silence of either side before the end
	timer     *time.Timer
	writing   atomic.Int64 // when the present write began, nanoseconds after x.start; 0: none

	mu        sync.Mutex
	out       sink
	ans       *upstream.Answer // nil until its header came
	listening bool             // it did, so that silence counts
	begun     bool             // status and header are written
	over      bool             // the answer has ended
	whole     bool             // … as it should
	heard     time.Time        // when the upstream last sent something
	wrote     time.Time        // when the client last got something
}

// newStream makes the stream of an answer; ctx and cancel are its work's. It
// takes the client's connection over when it can.
func (x *exchange) newStream(ctx context.Context, cancel context.CancelCauseFunc, ev events) *stream {
	cfg := x.s.cfg
	st := &stream{x: x, ctx: ctx, cancel: cancel, events: ev, keepAlive: cfg.Server.KeepAliveInterval, idle: cfg.Engine.StreamIdleTimeout}
	st.heard = time.Now()
	st.wrote = st.heard
	x.streamed = true
	x.s.metrics.streams.Inc()
	w := x.w
	if st.taken = x.take(cancel); st.taken != nil {
		st.out = &takenSink{c: st.taken}
	} else {
		st.out = newWriterSink(w)
		st.out.limit(time.Time{}) // an earlier answer's
	}
	return st
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
		st.x.s.metrics.streams.Dec()
		if st.taken != nil {
			st.taken.finish(st.whole)
			st.x.finish()
			defer st.x.s.detached.Done()
		}
		if st.ans != nil && st.whole {
			discard(st.ans) // often only the end of the body is left
		} else if st.ans != nil {
			st.ans.Close()
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

// pump moves the upstream's events to the client until either ends.
func (st *stream) pump(ans *upstream.Answer) {
	defer func() { st.x.usage, st.x.hasUsage = st.events.Usage() }()
	ans.DropHeader()
	st.mu.Lock()
	st.ans, st.listening, st.heard = ans, true, time.Now()
	st.timer.Reset(st.nextTick(st.heard))
	st.mu.Unlock()
	for {
		ans.Wait() // without holding a buffer
		in := getBuffer()
		n, err := ans.Read(in.b[:cap(in.b)])
		more := st.feed(in.b[:n], err)
		in.put()
		if !more {
			return
		}
	}
}

// feed passes upstream bytes on. It returns false at the end of the answer.
func (st *stream) feed(p []byte, readErr error) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.over {
		return false
	}
	st.heard = time.Now()
	out := getBuffer()
	defer out.put()
	out.b = append(out.b, noRoom[:]...)
	now := st.x.s.unix()
	var err error
	if len(p) > 0 {
		if out.b, err = st.events.Write(out.b, p, now); err != nil {
			st.refuse(err, out)
			return false
		}
	}
	last := st.events.Done()
	if readErr != nil && !last {
		last = true
		cause, told := st.whyEnded(readErr)
		if !told {
			st.over = true
			return false
		}
		if !st.begun && len(out.b) == room {
			if cause == nil {
				cause = translate.CutError()
			}
			st.reply(cause, out)
			return false
		}
		out.b = st.events.End(out.b, cause, now)
	}
	if len(out.b) > room || last {
		st.write(out, last)
		st.heard = st.wrote // while it wrote, nobody listened
	}
	return !st.over
}

// whyEnded says why the upstream's bytes ended: nil when they just did. It
// returns false when there is no client to be told.
func (st *stream) whyEnded(readErr error) (*responses.Error, bool) {
	if readErr == io.EOF {
		return nil, true
	}
	f := st.x.broken(st.ctx, readErr)
	st.x.note(f.kind, f.cause)
	return f.err, f.err != nil
}
