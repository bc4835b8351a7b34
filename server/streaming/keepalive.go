package streaming

import (
	"time"

	"antwort/server/dispatch"
	"antwort/server/ingress"
)

// KeepAlive is a comment, which keeps proxies from cutting a silent stream.
const KeepAlive = ": keep-alive\n\n"

// tick looks after silence: the upstream's for too long ends the stream, the
// client's not reading for as long too, and a comment breaks ours.
func (s *Stream) tick() {
	now, idle := time.Now(), time.Duration(s.idle.Load())
	if !s.mu.TryLock() {
		s.watchWriting(now, idle)
		return
	}
	defer s.mu.Unlock()
	defer func() {
		if p := recover(); p != nil {
			s.Panicked(p)
			s.cancel(dispatch.ErrPanicked) // the pump ends the answer
		}
	}()
	do, next := s.phase.tick(now, idle)
	switch do {
	case giveUp:
		s.cancel(dispatch.ErrSilent) // the pump ends the answer, if its client reads
	case speak:
		s.keep()
	}
	if !s.phase.over() {
		s.timer.Reset(next)
	}
}

// watchWriting fails a write that waits for too long: its client reads nothing.
// The pump is at work, and may wait in silence afterwards: next is no later than a
// sign of life would be.
func (s *Stream) watchWriting(now time.Time, idle time.Duration) {
	next := time.Second
	if s.keepAlive > 0 {
		next = min(next, s.keepAlive)
	}
	if began := s.writing.Load(); began != 0 {
		left := idle - (now.Sub(s.rec.Start) - time.Duration(began))
		if left <= 0 {
			s.out.Limit(now)
			return
		}
		next = min(next, left)
	}
	s.timer.Reset(max(next, time.Millisecond))
}

// Ask writes to the client when only that can tell whether it is still there.
// Before the answer's begin the connection does it by itself. It may come from any
// goroutine.
func (s *Stream) Ask() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase.begun() && !s.phase.over() {
		s.keep()
	}
}

// keep writes a sign of life: a comment, or the first events.
func (s *Stream) keep() {
	out := newOut()
	defer out.Put()
	if s.phase.begun() || s.head != nil || s.keeping {
		out.B = append(out.B, KeepAlive...)
	} else if out.B = s.events.Start(out.B); len(out.B) == ingress.Room {
		s.phase.spoke = time.Now() // nothing can be said yet
		return
	}
	s.out.Limit(time.Now().Add(time.Duration(s.idle.Load())))
	s.write(out, false)
	s.out.Limit(time.Time{})
}
