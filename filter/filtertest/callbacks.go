package filtertest

// callHeaders, callData and callTrailers are the Wasm context's part of a
// side: which host calls are open during a callback and after it.

func (s *side) callHeaders(end bool) uint64 {
	if s.skip() {
		return actionContinue
	}
	s.headersOpen = s.headers
	action := s.st.callback(s.name("headers"), uint64(len(s.headers.Pairs)), truth(end))
	switch {
	case action == actionContinue:
		s.headersOpen = nil
	case action == actionPause && !s.st.host.opt.AllowOnHeadersStopIteration, action > headersPauseAll:
		action = headersPauseAll
	}
	return action
}

func (s *side) callData(c *chunk, end bool) uint64 {
	if s.skip() {
		return actionContinue
	}
	if s.gathering {
		s.streaming = false
		s.hold(c)
		if s.st.destroyed { // the body grew over the limit and the stream was cut
			return actionPause
		}
	}
	s.current = c
	action := s.st.callback(s.name("body"), uint64(len(s.buffer().b)), truth(end))
	s.gathering = false
	switch {
	case action == actionContinue:
		s.current = nil
	case action == actionPause:
		s.gathering = true
	case action > dataPauseNoBuffer:
		action = dataPauseNoBuffer
	}
	return action
}

func (s *side) callTrailers() uint64 {
	if s.skip() {
		return actionContinue
	}
	s.trailersOpen = s.trailers
	action := s.st.callback(s.name("trailers"), uint64(len(s.trailers.Pairs)))
	if action == actionContinue {
		s.trailersOpen = nil
	}
	return action
}

// skip says that the filter is not asked: there is none, or it has failed and
// the reply to that must not reach it.
func (s *side) skip() bool {
	return s.st.context == nil && !s.st.failClosed || s.response && s.st.failReplied
}

// buffer is the body that host calls reach; nil if there is none.
func (s *side) buffer() *chunk {
	if s.gathering {
		return s.held
	}
	return s.current
}

// callback runs a callback that has a say in the stream's iteration.
func (st *stream) callback(name string, args ...uint64) uint64 {
	if st.context == nil || st.vm.Failed() {
		return st.failure()
	}
	if !st.vm.Has(name) {
		return actionContinue
	}
	return st.vm.Decide(st.context, name, func(action uint64, replied bool) uint64 {
		switch {
		case st.vm.Failed():
			return st.failure()
		case replied:
			return actionStopped
		}
		return action
	}, args...)
}

// failure is what a callback comes to once the VM has failed. The streams that
// the VM had are failed closed whatever the policy is.
func (st *stream) failure() uint64 {
	if !st.failReplied {
		st.failReplied = true
		st.sendLocalReply(503, "", nil)
	}
	return actionStopped
}

func truth(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
