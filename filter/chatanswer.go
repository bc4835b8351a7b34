package filter

import (
	"strconv"

	"antwort/shared/failure"
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// chatAnswer is a whole answer of provider vllm: its body is gathered and the
// response resource put in its place.
type chatAnswer struct {
	x        *translated
	gathered body
	sent     bool // the resource is on its way
}

func (a *chatAnswer) body(size int, end bool) types.Action {
	x := a.x
	if a.sent {
		setAnswerChunk(nil, size)
		return types.ActionContinue
	}
	all, whole := a.gathered.add(answerChunk(size), end)
	switch {
	case int64(max(len(all), len(a.gathered.buf))) > x.cfg.Limits.ResponseBodyBytes:
		return a.fail(failure.UpstreamAnswer, responses.AnswerTooLarge(), size)
	case !x.hold(a.x.kept() + a.gathered.held()):
		return a.fail(failure.Overloaded, overload(), size)
	case whole:
		return a.translate(all, size)
	}
	setAnswerChunk(nil, size)
	if a.x.gated() {
		return pauseNoBuffer
	}
	return types.ActionContinue
}

func (a *chatAnswer) translate(all []byte, size int) types.Action {
	x := a.x
	now := x.clock.now()
	out, err := a.x.turn.Response(x.out[:0], all, now.unix())
	if err != nil {
		return a.fail(failure.UpstreamAnswer, err, size)
	}
	x.firstToken(now)
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
	if a.x.gated() {
		must(proxywasm.ReplaceHttpResponseHeader("content-length", strconv.Itoa(len(out))))
	}
	setAnswerChunk(out, size)
	x.written(out)
	a.sent, x.complete = true, true
	a.free()
	x.hold(0)
	return types.ActionContinue
}

// trailers end an answer that is complete. Another one is broken, and Envoy
// takes no body here.
func (a *chatAnswer) trailers() types.Action {
	if a.sent {
		return types.ActionContinue
	}
	return a.x.reply(failure.UpstreamAnswer, responses.NewError(502, "upstream_invalid_answer", "the model server sent an answer that is not JSON"))
}

func (a *chatAnswer) free() { a.gathered.free() }
