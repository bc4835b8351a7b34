package filter

import (
	"strconv"

	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/translate"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// counted is an answer to how many tokens a request has: it is read whole, for of vLLM
// it has the tokens themselves too, and the number put in its place.
type counted struct {
	x    *translated
	text body
	came int64 // bytes
	sent bool  // the number is on its way
}

// count begins with an answer that has a number.
func (x *translated) count(h header) types.Action {
	h.setAnswer("content-type", "application/json")
	x.answer = &counted{x: x, text: body{buffers: &x.buffers, length: h.length()}}
	return x.heldBack()
}

func (c *counted) body(size int, end bool) types.Action {
	x := c.x
	if c.sent {
		setAnswerChunk(nil, size)
		return types.ActionContinue
	}
	if c.came += int64(size); c.came > x.cfg.Limits.ResponseBodyBytes {
		return c.fail(failure.UpstreamAnswer, responses.AnswerTooLarge(), size)
	}
	if !c.text.atOnce(size, end) && !x.holdAnswer(x.kept()+c.text.room(size)) {
		return c.fail(failure.Overloaded, policy.Overloaded(), size)
	}
	all, whole := c.text.add(answerChunk(size), end)
	if !whole {
		setAnswerChunk(nil, size)
		if x.gated() {
			return pauseNoBuffer
		}
		return types.ActionContinue
	}
	tokens, err := x.counting().Read(all)
	if err != nil {
		return c.fail(failure.UpstreamAnswer, err, size)
	}
	return c.send(translate.AppendCount(nil, tokens), size)
}

// fail answers with the error's status while headers are held. Later the error can only
// be told by itself.
func (c *counted) fail(kind failure.Kind, e *responses.Error, size int) types.Action {
	if c.x.gated() {
		return c.x.reply(kind, e)
	}
	c.x.fail(kind)
	return c.send(e.AppendBody(nil), size)
}

func (c *counted) send(out []byte, size int) types.Action {
	x := c.x
	if x.gated() {
		must(proxywasm.ReplaceHttpResponseHeader("content-length", strconv.Itoa(len(out))))
	}
	setAnswerChunk(out, size)
	c.sent, x.complete = true, true
	c.free()
	x.letGo()
	return types.ActionContinue
}

func (c *counted) trailers() types.Action { return c.x.trailersAfter(c.sent) }

func (c *counted) free() { c.text.free() }
