package streaming

import (
	"time"

	"antwort/shared/failure"
)

// phase is how far an answer has come, and who was silent since when. It has a
// method for each input, which says what is to be done; it does nothing itself.
//
//	asking ─ answered ─► listening ─ begin ─► passing ──┬─ wrote, last ─► whole
//	 │  ▲                   │                    ▲      │
//	 │  └──────── end ──────┘                    │      └─ gone ────────► broken
//	 └─ begin ─► promised ─────── answered ──────┘
//
// A client that leaves before the begin ends it as unheard.
type phase struct {
	at        stage
	heard     time.Time     // when the upstream last sent something, or began to answer
	spoke     time.Time     // when the client last got something
	keepAlive time.Duration // silence before a sign of life; 0: none is given
}

type stage uint8

const (
	asking    stage = iota // no backend has answered
	promised               // nor now, but the client has got the first events
	listening              // a backend has; nothing of it is the client's
	passing                // its events are the client's
	whole                  // the answer has ended as it should
	broken                 // it has not, and the client saw a part
	unheard                // it has not, and the client saw nothing
)

// action is what an input calls for.
type action uint8

const (
	nothing  action = iota
	pass            // the upstream's bytes to the client
	conclude        // the answer, with the events that are still needed
	explain         // in a whole error with a status what has happened
	leave           // without a word: nobody is there
	speak           // a sign of life
	giveUp          // waiting for the upstream
)

func newPhase(now time.Time, keepAlive time.Duration) phase {
	return phase{heard: now, spoke: now, keepAlive: keepAlive}
}

// over reports whether the answer has ended.
func (p *phase) over() bool { return p.at >= whole }

// begun reports whether status and header are the client's.
func (p *phase) begun() bool {
	return p.at == promised || p.at == passing || p.at == whole || p.at == broken
}

// answered: a backend's header has come, so that its silence counts.
func (p *phase) answered(now time.Time) {
	p.heard = now
	switch p.at {
	case asking:
		p.at = listening
	case promised:
		p.at = passing
	}
}

// bytes: the upstream has sent some.
func (p *phase) bytes(now time.Time) action {
	if p.over() {
		return nothing
	}
	p.heard = now
	return pass
}

// end: no more comes from the backend; f says why, nil when it just ended. An
// answer of which nothing is the client's may be another backend's then.
func (p *phase) end(f *failure.Failure) action {
	switch {
	case p.over():
		return nothing
	case f != nil && f.Reply == nil: // the client has left
		p.gone()
		return leave
	case p.begun():
		return conclude
	}
	p.at = asking
	return explain
}

// begin: status and header go to the client.
func (p *phase) begin() {
	switch p.at {
	case asking:
		p.at = promised
	case listening:
		p.at = passing
	}
}

// wrote: the client has got something; last says that it was the answer's end.
func (p *phase) wrote(now time.Time, last bool) {
	p.spoke = now
	if last {
		p.at = whole
	}
}

// gone: the client has left, or does not read.
func (p *phase) gone() {
	if p.begun() {
		p.at = broken
	} else {
		p.at = unheard
	}
}

// tick: time has passed. next is when to look again; idle is how long the upstream
// may be silent.
func (p *phase) tick(now time.Time, idle time.Duration) (do action, next time.Duration) {
	switch {
	case p.over():
		return nothing, 0
	case p.counts() && now.Sub(p.heard) >= idle:
		return giveUp, idle
	case p.keepAlive > 0 && now.Sub(p.spoke) >= p.keepAlive:
		do = speak
	}
	return do, p.next(now, idle)
}

// next is how long nothing can happen by itself.
func (p *phase) next(now time.Time, idle time.Duration) time.Duration {
	if p.counts() {
		idle -= now.Sub(p.heard)
	}
	if p.keepAlive > 0 {
		if left := p.keepAlive - now.Sub(p.spoke); left > 0 {
			idle = min(idle, left)
		} else {
			idle = min(idle, p.keepAlive)
		}
	}
	return max(idle, time.Millisecond)
}

// counts reports whether the upstream's silence does.
func (p *phase) counts() bool { return p.at == listening || p.at == passing }
