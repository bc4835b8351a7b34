package filter

import (
	"strings"

	"antwort/shared/config"
	"antwort/shared/policy"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// stream is one request with its answer. Its callbacks hand over to an exchange
// until the request is answered by the filter itself or the stream ends.
//
// Upstream resets and clients that go away come as OnHttpStreamDone and nothing
// else: the filter can send nothing then.
type stream struct {
	types.DefaultHttpContext
	*plugin
	id         uint32
	exchange   exchange // one of the next two; nil: all passes untouched
	forwarded  forwarded
	translated translated
	caller     *policy.Identity // nil: not known, or nobody is asked
	to         *target          // nil: not chosen yet
	closed     bool             // nothing more of the request may pass
	requestID  string
	begun      instant // when the request's headers came
	holding    int     // bytes, part of vm.inFlight
	failed     bool    // a failure was counted
	first      bool    // the first token was counted
	complete   bool    // the answer came to its end
	forced     forced  // panics, in builds for tests
}

// exchange is how requests of one kind are handled, callback by callback. After
// reply none of its methods is called again but done.
type exchange interface {
	requestHeaders(h header, end bool) types.Action
	requestBody(size int, end bool) types.Action
	requestTrailers() types.Action
	answerHeaders(h header, end bool) types.Action
	answerBody(size int, end bool) types.Action
	answerTrailers() types.Action
	done() // frees what is held
}

// OnHttpRequestHeaders finds out what the request is for.
func (s *stream) OnHttpRequestHeaders(_ int, end bool) (action types.Action) {
	defer s.recovered(&action)
	s.closed = s.access != nil // until it is known who calls
	h := s.requestHeader()
	s.forced.note(h)
	h, known := s.identify(h)
	if !known {
		return types.ActionPause
	}
	path, _, _ := strings.Cut(h.get(":path"), "?")
	route := policy.Find(path)
	if s.confined(h, path, route) {
		return types.ActionPause
	}
	s.closed = false
	if policy.IsResponses(path) {
		return s.open(h, path, route, end)
	}
	if route != nil {
		return s.list(h, path, route)
	}
	return types.ActionContinue
}

// list handles a request for the list of models, or one of them.
func (s *stream) list(h header, path string, route *policy.Endpoint) types.Action {
	if s.router == nil {
		s.to = &s.targets[0]
	} else if method := h.get(":method"); !route.Allows(method) {
		s.refuse(h, wrongMethod, route.WrongMethod(method), [2]string{"allow", route.Allow})
	} else if err := s.models(h, path, route); err != nil {
		s.refuse(h, noRoute, err)
	}
	if s.to == nil { // it has been answered
		return types.ActionPause
	}
	s.send()
	return types.ActionContinue
}

// open begins a request of the Responses API.
func (s *stream) open(h header, path string, route *policy.Endpoint, end bool) types.Action {
	s.begun = s.clock.now()
	s.metrics.requests.Increment(1)
	s.requestID = strings.Clone(h.get("x-request-id")) // h is parts of one text, credentials and all
	if s.cfg.Engine.Provider == config.VLLMResponses {
		asks := (route == policy.Create || route == policy.Compact) && h.get(":method") == "POST"
		s.forwarded = forwarded{s: s, create: route == policy.Create, asks: asks}
		s.exchange = &s.forwarded
	} else {
		s.translated = translated{s: s, route: route, path: path}
		s.exchange = &s.translated
	}
	s.forced.at("request_headers")
	return s.exchange.requestHeaders(h, end)
}

// OnHttpRequestBody comes for every chunk of the request's body.
func (s *stream) OnHttpRequestBody(size int, end bool) (action types.Action) {
	if s.exchange == nil {
		return s.unread()
	}
	defer s.recovered(&action)
	s.forced.at("request_body")
	return s.exchange.requestBody(size, end)
}

// OnHttpRequestTrailers ends a request that has trailers.
func (s *stream) OnHttpRequestTrailers(int) (action types.Action) {
	if s.exchange == nil {
		return s.unread()
	}
	defer s.recovered(&action)
	s.forced.at("request_trailers")
	return s.exchange.requestTrailers()
}

// unread is what becomes of a request that nobody handles.
func (s *stream) unread() types.Action {
	if s.closed {
		return types.ActionPause
	}
	return types.ActionContinue
}

// OnHttpResponseHeaders begins an answer: the upstream's or one of Envoy's own.
func (s *stream) OnHttpResponseHeaders(_ int, end bool) (action types.Action) {
	if s.exchange == nil {
		return types.ActionContinue
	}
	defer s.recovered(&action)
	s.forced.at("response_headers")
	return s.exchange.answerHeaders(s.answerHeader(), end)
}

// OnHttpResponseBody comes for every chunk of the answer's body.
func (s *stream) OnHttpResponseBody(size int, end bool) (action types.Action) {
	if s.exchange == nil {
		return types.ActionContinue
	}
	defer s.recovered(&action)
	s.forced.at("response_body")
	return s.exchange.answerBody(size, end)
}

// OnHttpResponseTrailers ends an answer that has trailers.
func (s *stream) OnHttpResponseTrailers(int) (action types.Action) {
	if s.exchange == nil {
		return types.ActionContinue
	}
	defer s.recovered(&action)
	return s.exchange.answerTrailers()
}

// OnHttpStreamDone comes once, however the stream ends, and nothing after it.
func (s *stream) OnHttpStreamDone() {
	if s.begun != 0 {
		s.end()
	}
	s.giveStream(s)
}

func (s *stream) end() {
	defer func() {
		if r := recover(); r != nil {
			s.metrics.panics.Increment(1)
			logPanic(s.requestID, r)
			s.exchange = nil // whatever state it is in
			s.gate.leave(s)
			s.close()
		}
	}()
	s.forced.at("done")
	if s.exchange != nil && !s.complete {
		s.fail(cut)
	}
	s.gate.leave(s)
	s.close()
}

// close frees what the stream holds; what is still to come passes untouched.
func (s *stream) close() {
	if s.exchange != nil {
		s.exchange.done()
		s.exchange = nil
	}
	s.hold(0)
}

// hold says how many bytes the stream holds now. It is false when all streams
// of the VM together are over the limit.
func (s *stream) hold(bytes int) bool {
	if bytes == s.holding {
		return true
	}
	more := int64(bytes - s.holding)
	s.holding = bytes
	s.inFlight += more
	s.metrics.inFlight.Add(more)
	return more < 0 || s.inFlight <= s.cfg.Limits.InFlightBytes
}

// fail counts a failure; the first of a stream only.
func (s *stream) fail(f failure) {
	if !s.failed {
		s.failed = true
		s.metrics.failures[f].Increment(1)
	}
}

// sawToken is firstToken now.
func (s *stream) sawToken() {
	if !s.first {
		s.firstToken(s.clock.now())
	}
}

// firstToken notes that the answer has begun to say something.
func (s *stream) firstToken(now instant) {
	if !s.first {
		s.first = true
		s.metrics.firstToken.Record(uint64(max(0, now.since(s.begun).Milliseconds())))
	}
}
