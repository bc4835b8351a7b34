package filter

import (
	"strconv"

	"antwort/shared/failure"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// checked is the body of a forwarded request that is read: its caller may use
// certain models only, or the route depends on it. It is gathered while the
// headers wait (filter.profile gated), and goes on as it came, except that a
// route may send another name of the model.
type checked struct{ upload }

func (c *checked) headers(end bool) types.Action {
	if end {
		return c.decide(nil)
	}
	if action, refused := c.overLength(); refused {
		return action
	}
	c.wait()
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
	sized := c.fields.has("content-length")
	if f := c.read(all); f != nil {
		return c.answerFailure(f)
	}
	c.direct()
	if c.marked && c.decision.Reading != nil {
		c.named(c.decision.Reading.Model)
	}
	c.keepTogether()
	if c.pool.several && c.decision.Repeatable {
		must(proxywasm.ReplaceHttpRequestHeader(retryField, retryReasons))
	}
	if c.pool.model != "" {
		all = c.decision.Reading.AppendRenamed(c.take(len(all)+len(c.pool.model)+16), c.pool.model)
		defer c.give(all)
		if sized {
			must(proxywasm.ReplaceHttpRequestHeader("content-length", strconv.Itoa(len(all))))
		}
	}
	must(proxywasm.ReplaceHttpRequestBody(all))
	c.sent, c.decision.Reading = true, nil
	c.free()
	c.holdRequest(0)
	c.departs(len(all))
	return types.ActionContinue
}

func (c *checked) read(all []byte) *failure.Failure {
	if c.isChecked() {
		return c.decision.CheckedBody(all)
	}
	return c.decision.Body(all)
}
