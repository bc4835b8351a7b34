package filtertest

import (
	"net/http"

	"antwort/filter/filtertest/vm"
)

// iteration says whether a message may move on behind the filter: Envoy's
// IterationState of an active stream filter.
type iteration int

const (
	iterating        iteration = iota
	stopSingle                 // held, but the filter is still called for what comes next
	stopAllBuffer              // nothing is called until the stream is continued
	stopAllWatermark           // the same, and over the limit reading stops instead of failing
)

// What callbacks return (FilterHeadersStatus and FilterDataStatus of the ABI).
const (
	actionContinue     = 0
	actionPause        = 1 // headers: StopIteration; data: StopIterationAndBuffer
	dataPauseWatermark = 2
	dataPauseNoBuffer  = 3
	headersPauseAll    = 4
	actionStopped      = 1 << 16 // a local reply was sent or the VM has failed: go no further
)

// chunk is a piece of a body that a filter may change.
type chunk struct{ b []byte }

func (c *chunk) take() []byte {
	b := c.b
	c.b = nil
	return b
}

// side is one message of a stream, request or response, on its way through the
// filter: Envoy's filter manager for a chain of one Wasm filter, and the part
// of the Wasm context that belongs to that message.
//
// Invariant: what has been handed to next is never handed to it again, and
// headers go before data, data before trailers.
type side struct {
	st       *stream
	response bool
	next     sink

	headers  *vm.HeaderMap // nil until they come
	trailers *vm.HeaderMap
	complete bool // the end of the stream has come in

	iter             iteration
	fromCurrent      bool // continuing what was stopped altogether: the filter has not seen the data
	headersContinued bool
	filterEnded      bool // the filter has seen the end of the stream
	aborted          bool // a local reply was sent by a callback of this side
	calls            int  // callbacks of this side that are running

	held      *chunk // gathered while stopped; nil until something was
	streaming bool   // over the limit reading stops instead of failing; so until a data callback says otherwise
	over      bool   // the limit was passed

	// What host calls reach. A header map is reachable in its phase, and as
	// long as that phase is paused.
	headersOpen, trailersOpen *vm.HeaderMap
	current                   *chunk // the chunk of the running or paused data callback
	gathering                 bool   // the last data callback paused: the buffer is held
}

// sink is where a message goes behind the filter.
type sink interface {
	sendHeaders(h *vm.HeaderMap, end bool)
	sendData(b []byte, end bool)
	sendTrailers(t *vm.HeaderMap)
}

func (s *side) name(phase string) string {
	if s.response {
		return "proxy_on_response_" + phase
	}
	return "proxy_on_request_" + phase
}

// onHeaders takes a message's headers from the network or a local reply.
func (s *side) onHeaders(h *vm.HeaderMap, end bool) {
	s.headers, s.complete, s.filterEnded = h, end, end
	s.calls++
	action := s.callHeaders(end)
	s.calls--
	if s.aborted {
		s.st.executePrepared()
		action = actionPause
	}
	switch action {
	case actionContinue:
		s.headersContinued = true
	case actionPause:
		s.iter = stopSingle
		return
	case 3:
		s.iter = stopAllBuffer
		return
	default:
		s.iter = stopAllWatermark
		return
	}
	s.forwardHeaders(end)
}

func (s *side) forwardHeaders(end bool) {
	if !s.st.destroyed {
		s.next.sendHeaders(s.headers, end)
	}
}

// onData takes a piece of the body.
func (s *side) onData(b []byte, end bool) {
	s.complete = s.complete || end
	if !s.response && s.st.response.complete {
		return // the response has ended: nobody wants the request's rest
	}
	s.data(&chunk{b}, end, false)
}

// data runs the filter on c unless behind is set, and hands on what it lets
// through.
func (s *side) data(c *chunk, end, behind bool) {
	if !behind {
		if s.iter == stopAllBuffer || s.iter == stopAllWatermark {
			s.streaming = s.iter == stopAllWatermark
			s.hold(c)
			return
		}
		if s.filterEnded {
			return
		}
		s.filterEnded = end && s.trailers == nil
		s.calls++
		action := s.callData(c, s.filterEnded)
		s.calls--
		if s.aborted && !s.response {
			s.st.executePrepared()
			return
		}
		if s.aborted {
			action = dataPauseNoBuffer
		}
		if !s.afterData(action, c) {
			return
		}
	}
	if !s.st.destroyed {
		b := c.take()
		s.over = false
		s.next.sendData(b, end)
	}
}

// afterData says whether c may move on.
func (s *side) afterData(action uint64, c *chunk) bool {
	if action == actionContinue {
		if s.iter == stopSingle {
			s.hold(c)
			s.resume()
			return false
		}
		return true
	}
	s.iter = stopSingle
	switch action {
	case actionPause, dataPauseWatermark:
		s.streaming = action == dataPauseWatermark
		s.hold(c)
	default:
		if s.complete && s.trailers == nil && s.held == nil && !s.st.destroyed {
			s.held = new(chunk)
		}
	}
	return false
}

// onTrailers takes the trailers, which end the message.
func (s *side) onTrailers(t *vm.HeaderMap) {
	s.trailers, s.complete = t, true
	if !s.response && s.st.response.complete {
		return
	}
	s.trail(false)
}

func (s *side) trail(behind bool) {
	if !behind {
		if s.iter == stopAllBuffer || s.iter == stopAllWatermark {
			return
		}
		s.calls++
		action := s.callTrailers()
		s.calls--
		s.filterEnded = true
		if s.aborted && !s.response {
			s.st.executePrepared()
			action = actionPause
		}
		if action != actionContinue {
			if s.iter == iterating {
				s.iter = stopSingle
			}
			return
		}
		if s.iter == stopSingle {
			s.resume()
			return
		}
	}
	if !s.st.destroyed {
		s.next.sendTrailers(s.trailers)
	}
}

// resume lets go what is held: Envoy's commonContinue.
func (s *side) resume() {
	if s.st.destroyed || s.headers == nil || s.iter == iterating && s.headersContinued {
		return
	}
	if s.response && s.st.encoded || !s.response && s.st.response.complete {
		return
	}
	s.fromCurrent = s.iter == stopAllBuffer || s.iter == stopAllWatermark
	s.iter = iterating
	if !s.headersContinued {
		s.headersContinued = true
		s.forwardHeaders(s.complete && s.held == nil && s.trailers == nil)
	}
	hadTrailers := s.trailers != nil
	if s.held != nil {
		s.data(s.held, s.complete && !hadTrailers, !s.fromCurrent)
	}
	if hadTrailers {
		s.trail(!s.fromCurrent)
	}
	s.fromCurrent = false
	s.st.wake()
}

// hold gathers c.
func (s *side) hold(c *chunk) {
	if s.held != c {
		if s.held == nil {
			s.held = new(chunk)
		}
		s.held.b = append(s.held.b, c.take()...)
	}
	s.checkLimit()
}

// checkLimit fails the stream when the gathered body has grown over the limit.
func (s *side) checkLimit() {
	limit := s.st.bufferLimit()
	if s.over && len(s.held.b) <= limit/2 {
		s.over = false
		s.st.wake()
	}
	if limit < 0 || s.over || len(s.held.b) <= limit {
		return
	}
	s.over = true
	switch {
	case s.streaming:
	case s.response:
		s.st.sendLocalReply(http.StatusInternalServerError, "Internal Server Error", nil)
	default:
		s.st.sendLocalReply(http.StatusRequestEntityTooLarge, "Payload Too Large", nil)
	}
}

// full says that no more should be read for now.
func (s *side) full() bool { return s.over && s.streaming }
