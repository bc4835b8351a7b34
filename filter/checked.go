package filter

import (
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
	upload
	asking header // what the route is chosen by
}

func (c *checked) headers(h header, end bool) types.Action {
	if action, refused := c.unreadable(h); refused {
		return action
	}
	c.asking = slices.Clone(h)
	if end {
		return c.decide(nil)
	}
	if action, refused := c.overLength(); refused {
		return action
	}
	c.gate.pause(c.exchange)
	return types.ActionPause
}

func (c *checked) chunk(size int, end bool) types.Action {
	c.gate.passed(c.exchange)
	if c.sent {
		action, _ := c.trailing(size)
		return action
	}
	all, action, whole := c.next(size, end)
	if !whole {
		return action
	}
	return c.decide(all)
}

// decide lets the body go on, or answers.
func (c *checked) decide(all []byte) types.Action {
	reading, err := c.read(all)
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
	c.sent = true
	c.free()
	c.holdRequest(0)
	return types.ActionContinue
}

func (c *checked) read(all []byte) (*policy.Reading, *responses.Error) {
	if c.isChecked() {
		return policy.ReadChecked(all)
	}
	return policy.Read(all, c.jsonLimits())
}
