package filtertest

import (
	"time"

	"antwort/filter/filtertest/vm"
)

// What host calls reach of plugins and streams, as package vm asks for it.
var (
	_ vm.Plugin = (*plugin)(nil)
	_ vm.Stream = (*stream)(nil)
)

// Configuration is that of Options.
func (p *plugin) Configuration() []byte { return p.host.opt.Configuration }

// Answer is the answer of the call-out whose callback runs.
func (p *plugin) Answer() *vm.Answer { return p.answer }

// SetTick sets the period of on_tick; 0 ends it.
func (p *plugin) SetTick(period time.Duration) {
	if p.tick != nil {
		p.tick.Stop()
		p.tick = nil
	}
	if period <= 0 || p.host.closed {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(period, func() {
		p.host.w.Run(func() {
			if p.tick != timer || p.vm.Failed() || p.host.closed {
				return
			}
			p.vm.Event(p.context, "proxy_on_tick")
			if p.tick == timer {
				timer.Reset(period)
			}
		})
	})
	p.tick = timer
}

// Logging says that on_log runs.
func (st *stream) Logging() bool { return st.logging }

// Headers finds the map that can be reached now. During on_log all headers can
// be read, none written.
func (st *stream) Headers(kind uint32, write bool) *vm.HeaderMap {
	if st.logging {
		switch {
		case write:
			return nil
		case kind == vm.MapRequestHeaders:
			return st.request.headers
		case kind == vm.MapResponseHeaders:
			return st.response.headers
		case kind == vm.MapResponseTrailers:
			return st.response.trailers
		}
		return nil
	}
	switch kind {
	case vm.MapRequestHeaders:
		return st.request.headersOpen
	case vm.MapRequestTrailers:
		return st.request.trailersOpen
	case vm.MapResponseHeaders:
		return st.response.headersOpen
	case vm.MapResponseTrailers:
		return st.response.trailersOpen
	}
	return nil
}

// message is one of the stream's two.
func (st *stream) message(response bool) *side {
	if response {
		return &st.response
	}
	return &st.request
}

// Body is what the running or paused data callback is for. A gathered body that
// has grown over the limit fails the stream.
func (st *stream) Body(response bool) (part *[]byte, changed func()) {
	s := st.message(response)
	c := s.buffer()
	if c == nil {
		return nil, nil
	}
	return &c.b, func() {
		if c == s.held {
			s.checkLimit()
		}
	}
}

// Reply sends a reply of the filter's own.
func (st *stream) Reply(code int, body string, extra *vm.HeaderMap) func() {
	return func() { st.sendLocalReply(code, body, extra) }
}

// Continue lets go of what is held. Envoy closes the request's maps and body for
// either side.
func (st *stream) Continue(response bool) func() {
	st.request.headersOpen, st.request.trailersOpen, st.request.current = nil, nil, nil
	return st.message(response).resume
}

// Reset cuts the stream.
func (st *stream) Reset() func() {
	return func() {
		if !st.destroyed {
			st.reset()
		}
	}
}
