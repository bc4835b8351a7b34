package filter

import (
	"strconv"

	"antwort/shared/policy"
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
	s := a.x.s
	if a.sent {
		setAnswerChunk(nil, size)
		return types.ActionContinue
	}
	all, whole := a.gathered.add(answerChunk(size), end)
	switch {
	case int64(max(len(all), len(a.gathered.buf))) > s.cfg.Limits.ResponseBodyBytes:
		return a.fail(upstreamAnswer, policy.AnswerTooLarge(), size)
	case !s.hold(a.x.kept() + a.gathered.held()):
		return a.fail(overloaded, overload(), size)
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
	s := a.x.s
	now := s.clock.now()
	out, err := a.x.turn.Response(s.out[:0], all, now.unix())
	if err != nil {
		return a.fail(upstreamAnswer, err, size)
	}
	s.firstToken(now)
	return a.send(out, size)
}

// fail answers with the error's status while headers are held. Later the error
// can only be told by a response resource that has failed.
func (a *chatAnswer) fail(f failure, e *responses.Error, size int) types.Action {
	if a.x.gated() {
		return a.x.s.reply(f, e)
	}
	a.x.s.fail(f)
	return a.send(a.x.turn.Failed(a.x.s.out[:0], e), size)
}

func (a *chatAnswer) send(out []byte, size int) types.Action {
	s := a.x.s
	if a.x.gated() {
		must(proxywasm.ReplaceHttpResponseHeader("content-length", strconv.Itoa(len(out))))
	}
	setAnswerChunk(out, size)
	s.written(out)
	a.sent, s.complete = true, true
	a.free()
	s.hold(0)
	return types.ActionContinue
}

// trailers end an answer that is complete. Another one is broken, and Envoy
// takes no body here.
func (a *chatAnswer) trailers() types.Action {
	if a.sent {
		return types.ActionContinue
	}
	return a.x.s.reply(upstreamAnswer, responses.NewError(502, "upstream_invalid_answer", "the model server sent an answer that is not JSON"))
}

func (a *chatAnswer) free() { a.gathered.free() }
