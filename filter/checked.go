package filter

import (
	"bytes"
	"slices"
	"strconv"

	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// checked is the body of a forwarded request that is read: its caller may use
// certain models only, or the route depends on it. It is gathered while the
// headers wait (filter.profile gated), and goes on as it came, except that a
// route may send another name of the model.
type checked struct {
	s      *stream
	asking header // what the route is chosen by
	body   body
	passed bool
}

func (c *checked) headers(h header, end bool) types.Action {
	s := c.s
	if action, refused := s.unreadable(h); refused {
		return action
	}
	c.asking, c.body = slices.Clone(h), body{s: s, length: h.length()}
	if end {
		return c.decide(nil)
	}
	if c.body.length >= 0 && c.body.length+s.inFlight > s.cfg.Limits.InFlightBytes {
		return s.reply(overloaded, overload())
	}
	s.gate.pause(s)
	return types.ActionPause
}

func (c *checked) chunk(size int, end bool) types.Action {
	s := c.s
	s.gate.passed(s)
	chunk := requestChunk(size)
	if c.passed {
		return c.trailing(chunk)
	}
	all, whole := c.body.add(chunk, end)
	if !s.hold(c.body.held()) {
		return s.reply(overloaded, overload())
	}
	if whole {
		return c.decide(all)
	}
	setRequestChunk(nil, size)
	return pauseNoBuffer
}

// decide lets the body go on, or answers.
func (c *checked) decide(all []byte) types.Action {
	s, l := c.s, c.s.cfg.Limits
	reading, err := policy.Read(all, responses.Limits{Depth: l.JSONDepth, Values: l.JSONValues})
	if err == nil {
		err = s.caller.AllowsReading(reading)
	}
	if err != nil {
		kind := invalidRequest
		if err.Status == 404 {
			kind = forbiddenModel
		}
		return s.reply(kind, err)
	}
	if err := s.choose(c.asking, reading.Model); err != nil {
		return s.reply(noRoute, err)
	}
	s.send()
	s.keepTogether(reading)
	if s.to.several && reading.Repeatable() {
		must(proxywasm.ReplaceHttpRequestHeader(retryField, retryReasons))
	}
	if s.to.model != "" {
		all = reading.AppendRenamed(s.take(len(all)+len(s.to.model)+16), s.to.model)
		defer s.give(all)
		if c.asking.has("content-length") {
			must(proxywasm.ReplaceHttpRequestHeader("content-length", strconv.Itoa(len(all))))
		}
	}
	must(proxywasm.ReplaceHttpRequestBody(all))
	c.passed = true
	c.free()
	s.hold(0)
	return types.ActionContinue
}

// trailing takes what comes after the document, which nobody has looked at.
func (c *checked) trailing(chunk []byte) types.Action {
	if len(bytes.TrimLeft(chunk, " \t\r\n")) > 0 {
		return c.s.reply(invalidRequest, afterDocument())
	}
	return types.ActionContinue
}

// trailers end the request. A document that is not complete by now is none.
func (c *checked) trailers() types.Action {
	c.s.gate.passed(c.s)
	if c.passed {
		return types.ActionContinue
	}
	if e := responses.Check(c.body.buf, responses.Limits{}); e != nil {
		return c.s.reply(invalidRequest, e)
	}
	return c.s.reply(invalidRequest, responses.NewError(400, "invalid_json", "the request body must be a JSON object"))
}

func (c *checked) free() { c.body.free() }

func afterDocument() *responses.Error {
	return responses.NewError(400, "invalid_json", "the request body is not valid JSON: unexpected data after the JSON value")
}
