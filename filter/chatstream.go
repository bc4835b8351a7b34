package filter

import (
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/translate"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// chatStream is a streamed answer of provider vllm: each chunk is replaced by
// the whole events that it completes.
type chatStream struct {
	x      *translated
	events *translate.Stream
	held   bool // the answer's headers wait for the first event (gated)
}

func (a *chatStream) body(size int, end bool) types.Action {
	x := a.x
	chunk := answerChunk(size)
	out := x.out[:0]
	if !a.held && size > 0 {
		// The status has gone: a failure can only be an event.
		out = a.events.Start(out)
	}
	out, err := a.events.Write(out, chunk, 0)
	if err == nil && end && a.held && !a.events.Started() {
		err = translate.CutError()
	}
	if err != nil {
		return x.reply(failure.UpstreamStream, err.(*responses.Error)) //nolint:errorlint // the translation makes no others, and wraps none
	}
	if end {
		out = a.events.End(out, nil, 0)
	}
	if a.events.Speaks() {
		x.sawToken()
	}
	if !x.holdAnswer(x.kept() + a.events.Held()) {
		if a.held && !a.events.Started() {
			return x.reply(failure.Overloaded, policy.Overloaded())
		}
		out = a.events.End(out, policy.Overloaded(), 0)
		x.fail(failure.Overloaded)
	}
	if a.events.Done() && !x.complete {
		x.complete = true
		if a.events.Outcome().Failed() {
			x.fail(failure.UpstreamStream)
		}
	}
	setAnswerChunk(out, size)
	x.written(out)
	if a.held && len(out) == 0 {
		return pauseNoBuffer
	}
	a.held = false
	return types.ActionContinue
}

// trailers end a stream that is complete. The end of another one cannot be told
// any more: Envoy takes no body here.
func (a *chatStream) trailers() types.Action {
	if a.events.Done() {
		return types.ActionContinue
	}
	return a.x.reply(failure.UpstreamStream, translate.CutError())
}

func (a *chatStream) free() {}
