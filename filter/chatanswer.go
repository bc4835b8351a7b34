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

// chatAnswer is a whole answer of provider vllm: it is read as it comes, and the
// response resource put in its place.
type chatAnswer struct {
	x      *translated
	length int64            // by content-length, -1 when not known
	came   int64            // bytes
	whole  *translate.Whole // nil: nothing has come yet
	sent   bool             // the resource is on its way
}

func (a *chatAnswer) body(size int, end bool) types.Action {
	x := a.x
	if a.sent {
		setAnswerChunk(nil, size)
		return types.ActionContinue
	}
	if x.holding.dropped {
		return a.fail(failure.Overloaded, policy.Overloaded(), size)
	}
	a.came += int64(size)
	if a.came > x.cfg.Limits.ResponseBodyBytes {
		return a.fail(failure.UpstreamAnswer, responses.AnswerTooLarge(), size)
	}
	chunk := answerChunk(size)
	end = end || a.came == a.length
	if a.whole == nil && end { // the usual small one
		out, err := x.turn.Response(x.out[:0], chunk, x.clock.unix())
		return a.finish(out, err, size)
	}
	if a.whole == nil {
		a.whole = x.turn.Whole()
	}
	if !x.holdText(x.kept() + a.whole.Held() + 2*size) {
		return a.fail(failure.Overloaded, policy.Overloaded(), size)
	}
	a.whole.Write(chunk)
	if end || a.length < 0 && a.whole.Complete() {
		out, err := a.end()
		return a.finish(out, err, size)
	}
	setAnswerChunk(nil, size)
	if x.gated() {
		return pauseNoBuffer
	}
	return types.ActionContinue
}

func (a *chatAnswer) end() ([]byte, *responses.Error) {
	defer a.x.memory.quiet(int(a.came))()
	return a.whole.End(a.x.out[:0], a.x.clock.unix())
}

func (a *chatAnswer) finish(out []byte, err *responses.Error, size int) types.Action {
	if err != nil {
		return a.fail(failure.UpstreamAnswer, err, size)
	}
	return a.send(out, size)
}

// fail answers with the error's status while headers are held. Later the error
// can only be told by a response resource that has failed.
func (a *chatAnswer) fail(kind failure.Kind, e *responses.Error, size int) types.Action {
	if a.x.gated() {
		return a.x.reply(kind, e)
	}
	a.x.fail(kind)
	return a.send(a.x.turn.Failed(a.x.out[:0], e), size)
}

func (a *chatAnswer) send(out []byte, size int) types.Action {
	x := a.x
	if x.gated() {
		must(proxywasm.ReplaceHttpResponseHeader("content-length", strconv.Itoa(len(out))))
	}
	setAnswerChunk(out, size)
	x.written(out)
	a.sent, x.complete = true, true
	a.whole = nil
	x.settle()
	x.letGo()
	return types.ActionContinue
}

func (a *chatAnswer) trailers() types.Action { return a.x.trailersAfter(a.sent) }

// trailersAfter ends a whole answer that was sent. Another one is broken, and Envoy
// takes no body here.
func (x *translated) trailersAfter(sent bool) types.Action {
	if sent {
		return types.ActionContinue
	}
	return x.reply(failure.UpstreamAnswer, responses.NewError(502, "upstream_invalid_answer", "the model server sent an answer that is not JSON"))
}

func (a *chatAnswer) free() { a.whole = nil }
