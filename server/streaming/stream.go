// Package streaming is a streamed answer on its way: the upstream's bytes come in,
// whole events go to the client, signs of life while both wait, and an end whatever
// happens.
//
//	Call ─► answer ─► Events ─► Sink
//	          │         ▲
//	          └─ phase ─┘ ◄─ timer
//
// A Stream is entered with a call that has something to say, the way to the client
// and the record of the exchange. What is in the events is the business of a Kind;
// what is next, that of the phase.
package streaming

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"antwort/server/buffer"
	"antwort/server/dispatch"
	"antwort/server/ingress"
	"antwort/server/observe"
	"antwort/server/upstream"
	"antwort/shared/failure"
	"antwort/shared/policy"
)

// Owner is the exchange that a stream belongs to. Its methods come from one
// goroutine at a time.
type Owner interface {
	Dress(h http.Header) // completes the header of an answer
	Panicked(p any)      // notes a panic
	Unix() int64         // the time, for what answers say
}

// Options are what a stream needs.
type Options struct {
	Owner     Owner
	Kind      Kind
	Call      *dispatch.Call
	Record    *observe.Record
	Sink      ingress.Sink
	Memory    buffer.Meter  // is asked for what the events hold
	KeepAlive time.Duration // silence before a sign of life; 0: none is given
	Idle      time.Duration // silence of either side before the end, until a backend has answered
	InEvents  bool          // failures are told in events only, for there is no status
	Whole     bool          // the sink takes whole events only
	Hear      func([]byte)  // is told the upstream's bytes; nil: nobody listens
	Estimates bool          // puts into the record how many tokens pass, by an estimate
}

// Stream is a streamed answer. One goroutine pumps upstream bytes to the client; a
// timer, for silent times, writes signs of life between events and ends what is
// silent for too long. mu orders the two.
type Stream struct {
	Owner
	kind   Kind
	call   *dispatch.Call
	rec    *observe.Record
	ctx    context.Context // of the upstream's work
	cancel context.CancelCauseFunc

	keepAlive time.Duration // silence before a sign of life; 0: none is given

	idle    atomic.Int64 // silence of either side before the end, a time.Duration
	timer   *time.Timer
	writing atomic.Int64 // when the present write began, nanoseconds after the record's start; 0: none

	mu     sync.Mutex
	phase  phase
	out    ingress.Sink
	events Events
	memory buffer.Meter
	held   int              // bytes that memory was asked for
	ans    *upstream.Answer // nil until its header came
	head   http.Header      // to begin with; nil: our own
	keeps  bool             // the answer's connection is kept, if it ends as it should

	inEvents  bool // failures are told in events only
	whole     bool // events are written whole
	estimates bool // how many tokens pass
	deltas    deltas
	hear      func([]byte)

	keeping bool // the end is being stored; mu is free meanwhile
}

// New makes a stream; ctx and cancel are those of the work upstream.
func New(ctx context.Context, cancel context.CancelCauseFunc, opt Options) *Stream {
	s := &Stream{
		Owner: opt.Owner, kind: opt.Kind, call: opt.Call, rec: opt.Record, ctx: ctx, cancel: cancel, out: opt.Sink, memory: opt.Memory,
		keepAlive: opt.KeepAlive, inEvents: opt.InEvents, whole: opt.Whole || opt.Record.Span.Captures(), hear: opt.Hear, estimates: opt.Estimates, phase: newPhase(time.Now(), opt.KeepAlive),
	}
	s.beginEvents()
	s.idle.Store(int64(opt.Idle))
	return s
}

const never = 1<<63 - 1 // a time.Duration that does not pass

// Run streams the answer; first is one that is there already, or nil. It reports
// whether all of it is the client's. Close must be called then.
func (s *Stream) Run(first *upstream.Answer) (complete bool) {
	defer func() {
		if p := recover(); p != nil {
			s.Panicked(p)
			s.endBroken()
		}
		s.timer.Stop()
		s.mu.Lock()
		defer s.mu.Unlock()
		complete = s.phase.at == whole
	}()
	// tick reads s.timer without the lock: it is there before the first tick.
	s.timer = time.AfterFunc(never, s.tick)
	s.timer.Reset(s.phase.next(time.Now(), time.Duration(s.idle.Load())))
	if f := s.call.Resume(s.ctx, first, s.consume); f != nil {
		s.fail(f)
	}
	s.left()
	return complete
}

// consume takes a backend's answer, as dispatch.Call.Send says. A goroutine waits
// here for long: what stands in its stack counts for each stream.
func (s *Stream) consume(ans *upstream.Answer) *failure.Failure {
	flows, f := s.kind.receive(s, ans)
	if flows {
		f = s.pump(ans)
		s.kind.flowed(s, ans)
	}
	return f
}

// Broken reports whether the client saw a part of an answer that has not ended as
// it should.
func (s *Stream) Broken() bool {
	return s.phase.at == broken || s.phase.at == promised || s.phase.at == passing
}

// Close lets go of the work upstream.
func (s *Stream) Close() {
	if s.ans != nil && s.phase.at == whole {
		dispatch.Discard(s.ans) // often only the end of the body is left
	} else if s.ans != nil {
		s.ans.Close()
	}
	s.call.Drop()
	s.cancel(nil)
}

// endBroken ends the answer after a panic, as well as it can: the panic may
// have left the events in any state.
func (s *Stream) endBroken() {
	defer func() {
		if recover() != nil {
			s.phase.gone()
		}
	}()
	s.fail(failure.Of(failure.Panic, policy.Internal()))
}

// pump moves the upstream's events to the client until either ends. The failure is
// that of an upstream that ended before anything was the client's.
func (s *Stream) pump(ans *upstream.Answer) *failure.Failure {
	defer s.keepOutcome()
	s.listen(ans)
	for {
		ans.Wait() // without holding a buffer
		in := buffer.Get()
		n, err := ans.Read(in.B[:cap(in.B)])
		more, f := s.feed(in.B[:n], err)
		in.Put()
		if !more {
			return f
		}
	}
}

// listen begins with an answer.
func (s *Stream) listen(ans *upstream.Answer) {
	ans.DropHeader()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ans = ans
	s.phase.answered(time.Now())
	s.idle.Store(int64(s.call.Idle()))
	s.timer.Reset(s.phase.next(s.phase.heard, s.call.Idle()))
	if s.phase.begun() || !s.call.MayMove() {
		s.settle()
	}
}

// keepOutcome puts into the record how the events have ended, or how far they have
// come.
func (s *Stream) keepOutcome() {
	s.rec.Outcome = s.events.Outcome()
	s.rec.Outcome.Resource, s.rec.Outcome.Apart = nil, nil // their bytes are used again
}

// settle lets go of the request: the answer will be nobody else's.
func (s *Stream) settle() {
	if s.call.Settled() {
		return
	}
	if s.ans.Sending() { // an early answer: the rest of the request is still read from there
		s.call.Settle()
	} else {
		s.call.Drop()
	}
}

// feed passes upstream bytes on. more is false at the end of the answer, with the
// failure of one of which nothing is the client's.
func (s *Stream) feed(p []byte, readErr error) (more bool, f *failure.Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase.bytes(time.Now()) == nothing {
		return false, nil
	}
	out := newOut()
	defer out.Put()
	now := s.Unix()
	if len(p) > 0 {
		if s.hear != nil {
			s.hear(p)
		}
		if s.estimates {
			s.rec.Passed += s.deltas.in(p)
		}
		defer s.events.Release()
		var err error
		if out.B, err = s.events.Write(out.B, p, now); err != nil {
			s.refuse(err, out)
			return false, nil
		}
		s.see(out.B)
		if !s.events.Done() && !s.hold() {
			s.cancel(errStopped)
			s.end(failure.Of(failure.Overloaded, policy.Overloaded()), out)
			return false, nil
		}
	}
	last := s.events.Done()
	if readErr != nil && !last {
		last = true
		if !s.phase.begun() && len(out.B) == ingress.Room {
			return false, s.lose(readErr)
		}
		if f = s.broken(readErr); f != nil {
			s.rec.Fail(f.Kind, f.Cause)
		}
		if s.phase.end(f) == leave {
			return false, nil
		}
		out.B = s.events.End(out.B, f.Answer(), now)
	}
	if last {
		if s.ended(out); s.phase.over() { // the client has left meanwhile
			return false, nil
		}
	}
	if s.phase.over() { // the client has left while a part was drained
		return false, nil
	}
	if len(out.B) > ingress.Room || last {
		s.write(out, last)
		s.settle()
		s.phase.heard = s.phase.spoke // while it wrote, nobody listened
	}
	return !s.phase.over(), nil
}

// deltaEvent ends the first line of an event that has a piece of the answer. Within JSON
// a line end is escaped.
const deltaEvent = ".delta"

// see looks at events that are about to be the client's.
func (s *Stream) see(events []byte) {
	if s.rec.FirstToken == 0 {
		if _, after, found := bytes.Cut(events, []byte(deltaEvent)); found && len(after) > 0 && (after[0] == '\n' || after[0] == '\r') {
			s.rec.FirstToken = time.Since(s.rec.Start)
		}
	}
	if s.rec.Span.Sampled() {
		o := s.events.Outcome()
		s.rec.Span.Answered(o.Resource, o.Apart...)
	}
}

var errStopped = errors.New("there is no memory for more of the answer")

// hold asks for what the events hold now, and for what their end will take: that is
// when there is no room, and not in the middle of the end.
func (s *Stream) hold() bool {
	now := s.events.Ending()
	if s.whole { // the sink has them too
		now *= 2
	}
	now += s.events.Held()
	switch more := now - s.held; {
	case more < 0:
		s.memory.LetGo(-more)
	case more > 0 && !s.memory.Hold(more):
		return false
	}
	s.held = now
	return true
}

// broken is why the upstream's bytes have ended, nil when they just did.
func (s *Stream) broken(readErr error) *failure.Failure {
	if errors.Is(readErr, io.EOF) {
		return nil
	}
	return s.call.Broken(s.ctx, readErr)
}

// lose lets go of an answer of which nothing is the client's, so that another
// backend's may come in its place.
func (s *Stream) lose(readErr error) *failure.Failure {
	f := s.broken(readErr)
	if f == nil {
		f = s.call.Broken(s.ctx, nil)
	}
	if s.phase.end(f) == leave {
		return f
	}
	s.ans.Close()
	s.ans, s.head = nil, nil
	if s.call.MayMove() {
		s.beginEvents()
	}
	return f
}
