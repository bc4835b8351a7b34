package vm

import (
	"bytes"
	"time"
)

// The ABI's numbers for header maps.
const (
	MapRequestHeaders   = 0
	MapRequestTrailers  = 1
	MapResponseHeaders  = 2
	MapResponseTrailers = 3
	MapCallHeaders      = 6
	MapCallTrailers     = 7
)

// Those for buffers and streams.
const (
	bufferRequestBody  = 0
	bufferResponseBody = 1
	bufferCallBody     = 4
	bufferVMConfig     = 6
	bufferPluginConfig = 7

	streamRequest  = 0
	streamResponse = 1
)

// headersFor finds the map that a host call may reach now: nil outside of its
// phase.
func (c args) headersFor(kind uint32, write bool) *HeaderMap {
	t := c.v.target()
	if kind == MapCallHeaders || kind == MapCallTrailers {
		switch answer := t.plugin.Answer(); {
		case answer == nil || write:
			return nil
		case kind == MapCallHeaders:
			return answer.Headers
		default:
			return answer.Trailers
		}
	}
	if t.stream == nil {
		return nil
	}
	return t.stream.Headers(kind, write)
}

func hostGetHeader(c args) Status {
	m := c.headersFor(c.u32(0), false)
	if m == nil {
		if st := c.v.target().stream; st != nil && st.Logging() {
			return NotFound
		}
		return BadArgument
	}
	value, ok := m.Get(c.string(1))
	if !ok {
		return NotFound
	}
	return c.v.give([]byte(value), c.u32(3), c.u32(4))
}

func hostAddHeader(c args) Status {
	m := c.headersFor(c.u32(0), true)
	if m == nil {
		return BadArgument
	}
	m.Add(c.string(1), c.string(3))
	return OK
}

func hostReplaceHeader(c args) Status {
	m := c.headersFor(c.u32(0), true)
	if m == nil {
		return BadArgument
	}
	m.Set(c.string(1), c.string(3))
	return OK
}

func hostRemoveHeader(c args) Status {
	m := c.headersFor(c.u32(0), true)
	if m == nil {
		return BadArgument
	}
	m.Remove(c.string(1))
	return OK
}

// hostGetHeaders gives an empty result, not an error, for a map that cannot be
// reached.
func hostGetHeaders(c args) Status {
	m := c.headersFor(c.u32(0), false)
	if m == nil || len(m.Pairs) == 0 {
		return c.v.give(nil, c.u32(1), c.u32(2))
	}
	return c.v.give(m.Marshal(), c.u32(1), c.u32(2))
}

func hostSetHeaders(c args) Status {
	m := c.headersFor(c.u32(0), true)
	if m == nil {
		return BadArgument
	}
	m.Pairs = unmarshal(c.bytes(1)).Pairs
	return OK
}

func hostHeadersSize(c args) Status {
	m := c.headersFor(c.u32(0), true)
	if m == nil {
		return BadArgument
	}
	size := 0
	for _, p := range m.Pairs {
		size += len(p[0]) + len(p[1])
	}
	return c.return32(1, uint32(size))
}

// bufferFor finds the bytes of a buffer; changed is set for those that can be
// written.
func (c args) bufferFor(kind uint32) (b *[]byte, changed func(), ok bool) {
	t := c.v.target()
	switch kind {
	case bufferRequestBody, bufferResponseBody:
		if t.stream != nil {
			b, changed = t.stream.Body(kind == bufferResponseBody)
		}
		if b == nil {
			return new([]byte), nil, true
		}
		return b, changed, true
	case bufferCallBody:
		answer := t.plugin.Answer()
		if answer == nil {
			return nil, nil, false
		}
		return &answer.Body, nil, true
	case bufferVMConfig:
		return &c.v.w.config, nil, true
	case bufferPluginConfig:
		config := t.plugin.Configuration()
		return &config, nil, true
	}
	return nil, nil, false
}

func hostGetBuffer(c args) Status {
	b, _, ok := c.bufferFor(c.u32(0))
	if !ok {
		return NotFound
	}
	start, size := uint64(c.u32(1)), uint64(c.u32(2))
	if start+size > 1<<32-1 {
		return BadArgument
	}
	have := uint64(len(*b))
	start = min(start, have)
	return c.v.give((*b)[start:min(start+size, have)], c.u32(3), c.u32(4))
}

// hostSetBuffer replaces bytes at the start, or appends.
func hostSetBuffer(c args) Status {
	b, changed, ok := c.bufferFor(c.u32(0))
	if !ok {
		return NotFound
	}
	if changed == nil {
		return BadArgument
	}
	start, size, data := int(c.u32(1)), int(c.u32(2)), c.bytes(3)
	switch {
	case start == 0:
		rest := (*b)[min(size, len(*b)):]
		*b = append(append(make([]byte, 0, len(data)+len(rest)), data...), rest...)
	case start >= len(*b):
		*b = append((*b)[:len(*b):len(*b)], data...)
	default:
		return BadArgument
	}
	changed()
	return OK
}

func hostBufferStatus(c args) Status {
	b, _, ok := c.bufferFor(c.u32(0))
	if !ok {
		return NotFound
	}
	c.return32(2, 0)
	return c.return32(1, uint32(len(*b)))
}

// hostSendLocalResponse: code, details, body, headers, gRPC status. The reply
// is sent once the callback has returned.
func hostSendLocalResponse(c args) Status {
	code, text, extra := int(c.u32(0)), c.string(3), unmarshal(c.bytes(5))
	if st := c.v.target().stream; st != nil {
		c.v.after = append(c.v.after, st.Reply(code, text, extra))
	}
	c.v.stop = true
	return OK
}

func hostContinueStream(c args) Status {
	kind := c.u32(0)
	if kind > streamResponse {
		return Unimplemented
	}
	if st := c.v.target().stream; st != nil {
		c.v.after = append(c.v.after, st.Continue(kind == streamResponse))
	}
	return OK
}

func hostCloseStream(c args) Status {
	if st := c.v.target().stream; st != nil && c.u32(0) <= streamResponse {
		c.v.after = append(c.v.after, st.Reset())
	}
	return OK
}

// hostHTTPCall: cluster, headers, body, trailers, time-out in milliseconds,
// where to store the call's token. The whole answer is gathered before the
// callback on the plugin's context.
func hostHTTPCall(c args) Status {
	c.v.w.calls++
	token := c.v.w.calls << 2
	if !c.v.target().plugin.Call(c.string(0), unmarshal(c.bytes(2)), bytes.Clone(c.bytes(4)), time.Duration(c.u32(8))*time.Millisecond, token) {
		return BadArgument
	}
	return c.return32(9, token)
}

func hostSetEffectiveContext(c args) Status {
	t := c.v.contexts[c.u32(0)]
	if t == nil {
		return BadArgument
	}
	c.v.effective = t
	return OK
}

func hostSetTickPeriod(c args) Status {
	c.v.target().plugin.SetTick(time.Duration(c.u32(0)) * time.Millisecond)
	return OK
}

func hostTime(c args) Status {
	if !c.v.memory.WriteUint64Le(c.u32(0), uint64(time.Now().UnixNano())) {
		return InvalidMemoryAccess
	}
	return OK
}
