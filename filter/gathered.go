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

// gathered is an answer that is read whole, and in whose place another one is put.
type gathered struct {
	x    *translated
	by   maker
	text body
	most int64 // bytes that it may have
	came int64
	sent bool // the other one is on its way
}

// maker makes the answer that takes the place of one.
type maker interface {
	make(all []byte) ([]byte, *responses.Error)
	failed(e *responses.Error) []byte // when headers have left
}

// gather begins with an answer that becomes one of another kind.
func (x *translated) gather(h header, kind string, by maker, most int64) types.Action {
	h.setAnswer("content-type", kind)
	x.answer = &gathered{x: x, by: by, most: min(most, x.cfg.Limits.ResponseBodyBytes), text: body{buffers: &x.buffers, length: h.length()}}
	return x.heldBack()
}

// numbered makes the number of tokens of an answer that has it: of vLLM it has the
// tokens themselves too.
type numbered struct{ x *translated }

func (n numbered) make(all []byte) ([]byte, *responses.Error) {
	read := n.x.counting().Read
	if n.x.answer.(*gathered).text.check.Valid() { // as it came
		read = n.x.counting().ReadChecked
	}
	tokens, err := read(all)
	if err != nil {
		return nil, err
	}
	return translate.AppendCount(nil, tokens), nil
}

func (n numbered) failed(e *responses.Error) []byte { return e.AppendBody(nil) }

func (c *gathered) body(size int, end bool) types.Action {
	x := c.x
	if c.sent {
		setAnswerChunk(nil, size)
		return types.ActionContinue
	}
	if x.holding.dropped {
		return c.fail(failure.Overloaded, policy.Overloaded(), size)
	}
	if c.came += int64(size); c.came > c.most {
		return c.fail(failure.UpstreamAnswer, responses.AnswerTooLarge(), size)
	}
	if !c.text.atOnce(size, end) && !x.holdText(x.kept()+c.text.room(size)) {
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
	out, err := c.make(all)
	if err != nil {
		return c.fail(failure.UpstreamAnswer, err, size)
	}
	return c.send(out, size)
}

func (c *gathered) make(all []byte) ([]byte, *responses.Error) {
	defer c.x.memory.quiet(len(all))()
	return c.by.make(all)
}

// fail answers with the error's status while headers are held. Later the error can only
// be told by itself.
func (c *gathered) fail(kind failure.Kind, e *responses.Error, size int) types.Action {
	if c.x.gated() {
		return c.x.reply(kind, e)
	}
	c.x.fail(kind)
	return c.send(c.by.failed(e), size)
}

func (c *gathered) send(out []byte, size int) types.Action {
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

func (c *gathered) trailers() types.Action { return c.x.trailersAfter(c.sent) }

func (c *gathered) free() { c.text.free() }
