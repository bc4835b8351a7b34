package filter

import (
	"bytes"
	"slices"
	"strconv"

	"antwort/shared/failure"
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
	*exchange
	asking header // what the route is chosen by
	body   body
	passed bool
}

func (c *checked) headers(h header, end bool) types.Action {
	if action, refused := c.unreadable(h); refused {
		return action
	}
	c.asking, c.body = slices.Clone(h), body{buffers: &c.buffers, length: h.length()}
	if end {
		return c.decide(nil)
	}
	if c.body.length >= 0 && c.body.length+c.inFlight > c.cfg.Limits.InFlightBytes {
		return c.reply(failure.Overloaded, overload())
	}
	c.gate.pause(c.exchange)
	return types.ActionPause
}

func (c *checked) chunk(size int, end bool) types.Action {
	c.gate.passed(c.exchange)
	chunk := requestChunk(size)
	if c.passed {
		return c.trailing(chunk)
	}
	all, whole := c.body.add(chunk, end)
	if !c.hold(c.body.held()) {
		return c.reply(failure.Overloaded, overload())
	}
	if whole {
		return c.decide(all)
	}
	setRequestChunk(nil, size)
	return pauseNoBuffer
}

// decide lets the body go on, or answers.
func (c *checked) decide(all []byte) types.Action {
	l := c.cfg.Limits
	reading, err := policy.Read(all, responses.Limits{Depth: l.JSONDepth, Values: l.JSONValues})
	if err == nil {
		err = c.caller.AllowsReading(reading)
	}
	if err != nil {
		kind := failure.InvalidRequest
		if err.Status == 404 {
			kind = failure.ForbiddenModel
		}
		return c.reply(kind, err)
	}
	if err := c.choose(c.asking, reading.Model); err != nil {
		return c.reply(failure.NoRoute, err)
	}
	c.direct()
	c.keepTogether(reading)
	if c.pool.several && reading.Repeatable() {
		must(proxywasm.ReplaceHttpRequestHeader(retryField, retryReasons))
	}
	if c.pool.model != "" {
		all = reading.AppendRenamed(c.take(len(all)+len(c.pool.model)+16), c.pool.model)
		defer c.give(all)
		if c.asking.has("content-length") {
			must(proxywasm.ReplaceHttpRequestHeader("content-length", strconv.Itoa(len(all))))
		}
	}
	must(proxywasm.ReplaceHttpRequestBody(all))
	c.passed = true
	c.free()
	c.hold(0)
	return types.ActionContinue
}

// trailing takes what comes after the document, which nobody has looked at.
func (c *checked) trailing(chunk []byte) types.Action {
	if len(bytes.TrimLeft(chunk, " \t\r\n")) > 0 {
		return c.reply(failure.InvalidRequest, afterDocument())
	}
	return types.ActionContinue
}

// trailers end the request. A document that is not complete by now is none.
func (c *checked) trailers() types.Action {
	c.gate.passed(c.exchange)
	if c.passed {
		return types.ActionContinue
	}
	if e := responses.Check(c.body.buf, responses.Limits{}); e != nil {
		return c.reply(failure.InvalidRequest, e)
	}
	return c.reply(failure.InvalidRequest, responses.NewError(400, "invalid_json", "the request body must be a JSON object"))
}

func (c *checked) free() { c.body.free() }

func afterDocument() *responses.Error {
	return responses.NewError(400, "invalid_json", "the request body is not valid JSON: unexpected data after the JSON value")
}
