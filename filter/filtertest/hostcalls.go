package filtertest

import "time"

// The ABI's numbers for header maps, buffers and streams.
const (
	mapRequestHeaders   = 0
	mapRequestTrailers  = 1
	mapResponseHeaders  = 2
	mapResponseTrailers = 3
	mapCallHeaders      = 6
	mapCallTrailers     = 7

	bufferRequestBody  = 0
	bufferResponseBody = 1
	bufferCallBody     = 4
	bufferVMConfig     = 6
	bufferPluginConfig = 7

	streamRequest  = 0
	streamResponse = 1
)

// headersFor finds the map that a host call may reach now: nil outside of its
// phase. During on_log all headers can be read, none written.
func (c args) headersFor(kind uint32, write bool) *headerMap {
	t := c.v.target()
	if kind == mapCallHeaders || kind == mapCallTrailers {
		switch call := t.plugin.call; {
		case call == nil || write:
			return nil
		case kind == mapCallHeaders:
			return call.headers
		default:
			return call.trailers
		}
	}
	st := t.stream
	if st == nil {
		return nil
	}
	if st.logging {
		switch {
		case write:
			return nil
		case kind == mapRequestHeaders:
			return st.request.headers
		case kind == mapResponseHeaders:
			return st.response.headers
		case kind == mapResponseTrailers:
			return st.response.trailers
		}
		return nil
	}
	switch kind {
	case mapRequestHeaders:
		return st.request.headersOpen
	case mapRequestTrailers:
		return st.request.trailersOpen
	case mapResponseHeaders:
		return st.response.headersOpen
	case mapResponseTrailers:
		return st.response.trailersOpen
	}
	return nil
}

func hostGetHeader(c args) status {
	m := c.headersFor(c.u32(0), false)
	if m == nil {
		if st := c.v.target().stream; st != nil && st.logging {
			return statusNotFound
		}
		return statusBadArgument
	}
	value, ok := m.get(c.string(1))
	if !ok {
		return statusNotFound
	}
	return c.v.give([]byte(value), c.u32(3), c.u32(4))
}

func hostAddHeader(c args) status {
	m := c.headersFor(c.u32(0), true)
	if m == nil {
		return statusBadArgument
	}
	m.add(c.string(1), c.string(3))
	return statusOK
}

func hostReplaceHeader(c args) status {
	m := c.headersFor(c.u32(0), true)
	if m == nil {
		return statusBadArgument
	}
	m.set(c.string(1), c.string(3))
	return statusOK
}

func hostRemoveHeader(c args) status {
	m := c.headersFor(c.u32(0), true)
	if m == nil {
		return statusBadArgument
	}
	m.remove(c.string(1))
	return statusOK
}

// hostGetHeaders gives an empty result, not an error, for a map that cannot be
// reached.
func hostGetHeaders(c args) status {
	m := c.headersFor(c.u32(0), false)
	if m == nil || len(m.pairs) == 0 {
		return c.v.give(nil, c.u32(1), c.u32(2))
	}
	return c.v.give(m.marshal(), c.u32(1), c.u32(2))
}

func hostSetHeaders(c args) status {
	m := c.headersFor(c.u32(0), true)
	if m == nil {
		return statusBadArgument
	}
	m.pairs = unmarshal(c.bytes(1)).pairs
	return statusOK
}

func hostHeadersSize(c args) status {
	m := c.headersFor(c.u32(0), true)
	if m == nil {
		return statusBadArgument
	}
	size := 0
	for _, p := range m.pairs {
		size += len(p[0]) + len(p[1])
	}
	return c.return32(1, uint32(size))
}

// bufferFor finds the bytes of a buffer; side is set for a body, which can be
// written.
func (c args) bufferFor(kind uint32) (b *chunk, s *side, ok bool) {
	t := c.v.target()
	switch kind {
	case bufferRequestBody, bufferResponseBody:
		if t.stream == nil {
			return &chunk{}, nil, true
		}
		s = &t.stream.request
		if kind == bufferResponseBody {
			s = &t.stream.response
		}
		if b = s.buffer(); b == nil {
			return &chunk{}, nil, true
		}
		return b, s, true
	case bufferCallBody:
		if t.plugin.call == nil {
			return nil, nil, false
		}
		return &chunk{t.plugin.call.body}, nil, true
	case bufferVMConfig:
		return &chunk{c.v.w.vmConfig}, nil, true
	case bufferPluginConfig:
		return &chunk{t.plugin.host.opt.Configuration}, nil, true
	}
	return nil, nil, false
}

func hostGetBuffer(c args) status {
	b, _, ok := c.bufferFor(c.u32(0))
	if !ok {
		return statusNotFound
	}
	start, size := uint64(c.u32(1)), uint64(c.u32(2))
	if start+size > 1<<32-1 {
		return statusBadArgument
	}
	have := uint64(len(b.b))
	start = min(start, have)
	return c.v.give(b.b[start:min(start+size, have)], c.u32(3), c.u32(4))
}

// hostSetBuffer replaces bytes at the start, or appends.
func hostSetBuffer(c args) status {
	b, s, ok := c.bufferFor(c.u32(0))
	if !ok {
		return statusNotFound
	}
	if s == nil {
		return statusBadArgument
	}
	start, size, data := int(c.u32(1)), int(c.u32(2)), c.bytes(3)
	switch {
	case start == 0:
		rest := b.b[min(size, len(b.b)):]
		b.b = append(append(make([]byte, 0, len(data)+len(rest)), data...), rest...)
	case start >= len(b.b):
		b.b = append(b.b[:len(b.b):len(b.b)], data...)
	default:
		return statusBadArgument
	}
	if b == s.held {
		s.checkLimit()
	}
	return statusOK
}

func hostBufferStatus(c args) status {
	b, _, ok := c.bufferFor(c.u32(0))
	if !ok {
		return statusNotFound
	}
	c.return32(2, 0)
	return c.return32(1, uint32(len(b.b)))
}

// hostSendLocalResponse: code, details, body, headers, gRPC status. The reply
// is sent once the callback has returned.
func hostSendLocalResponse(c args) status {
	code, text, extra := int(c.u32(0)), c.string(3), unmarshal(c.bytes(5))
	if st := c.v.target().stream; st != nil {
		c.v.after = append(c.v.after, func() { st.sendLocalReply(code, text, extra) })
	}
	c.v.stop = true
	return statusOK
}

func hostContinueStream(c args) status {
	kind := c.u32(0)
	if kind > streamResponse {
		return statusUnimplemented
	}
	st := c.v.target().stream
	if st == nil {
		return statusOK
	}
	s := &st.request
	if kind == streamResponse {
		s = &st.response
	}
	c.v.after = append(c.v.after, s.resume)
	// Envoy closes the request's maps and body for either side.
	st.request.headersOpen, st.request.trailersOpen, st.request.current = nil, nil, nil
	return statusOK
}

func hostCloseStream(c args) status {
	if st := c.v.target().stream; st != nil && c.u32(0) <= streamResponse {
		c.v.after = append(c.v.after, func() {
			if !st.destroyed {
				st.reset()
			}
		})
	}
	return statusOK
}

func hostSetEffectiveContext(c args) status {
	t := c.v.contexts[c.u32(0)]
	if t == nil {
		return statusBadArgument
	}
	c.v.effective = t
	return statusOK
}

func hostSetTickPeriod(c args) status {
	c.v.target().plugin.setTick(time.Duration(c.u32(0)) * time.Millisecond)
	return statusOK
}

func hostTime(c args) status {
	if !c.v.memory.WriteUint64Le(c.u32(0), uint64(time.Now().UnixNano())) {
		return statusInvalidMemoryAccess
	}
	return statusOK
}
