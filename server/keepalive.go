package server

import (
	"time"

	"antwort/server/buffer"
	"antwort/server/dispatch"
	"antwort/server/ingress"
)

// comment keeps proxies from cutting a silent stream.
const comment = ": keep-alive\n\n"

// tick looks after silence: the upstream's for too long ends the stream, the
// client's not reading for as long too, and a comment breaks ours.
func (st *stream) tick() {
	now, idle := time.Now(), time.Duration(st.idle.Load())
	if !st.mu.TryLock() {
		// The pump is at work: writing for long means that the client reads nothing.
		began := st.writing.Load()
		if began != 0 && time.Since(st.x.rec.Start)-time.Duration(began) >= idle {
			st.out.Limit(now) // fails that write
			return
		}
		st.timer.Reset(min(idle, max(st.keepAlive, time.Second)))
		return
	}
	defer st.mu.Unlock()
	defer func() {
		if p := recover(); p != nil {
			st.x.panicked(p)
			st.cancel(dispatch.ErrPanicked) // the pump ends the answer
		}
	}()
	if st.over {
		return
	}
	if st.listening && now.Sub(st.heard) >= idle {
		st.cancel(dispatch.ErrSilent) // the pump ends the answer, if its client reads
		st.timer.Reset(idle)
		return
	}
	if st.keepAlive > 0 && now.Sub(st.wrote) >= st.keepAlive {
		st.keep()
	}
	st.timer.Reset(st.nextTick(now))
}

// ask writes to the client when only that can tell whether it is still there.
// Before the answer's begin the connection does it by itself.
func (st *stream) ask() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.begun && !st.over {
		st.keep()
	}
}

// keep writes a sign of life: a comment, or the first events.
func (st *stream) keep() {
	out := buffer.Get()
	defer out.Put()
	out.B = append(out.B, noRoom[:]...)
	if st.begun || st.head != nil {
		out.B = append(out.B, comment...)
	} else if out.B = st.events.Start(out.B); len(out.B) == ingress.Room {
		st.wrote = time.Now() // nothing can be said yet
		return
	}
	st.out.Limit(time.Now().Add(time.Duration(st.idle.Load())))
	st.write(out, false)
	st.out.Limit(time.Time{})
}

func (st *stream) nextTick(now time.Time) time.Duration {
	next := time.Duration(st.idle.Load())
	if st.listening {
		next -= now.Sub(st.heard)
	}
	if st.keepAlive > 0 {
		next = min(next, st.keepAlive-now.Sub(st.wrote))
	}
	return max(next, time.Millisecond)
}
