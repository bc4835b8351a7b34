package filter

import (
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
	s := a.x.s
	chunk := answerChunk(size)
	out := s.out[:0]
	if !a.held && size > 0 {
		// The status has gone: a failure can only be an event.
		out = a.events.Start(out)
	}
	out, err := a.events.Write(out, chunk, 0)
	if err == nil && end && a.held && !a.events.Started() {
		err = translate.CutError()
	}
	if err != nil {
		return s.reply(upstreamStream, err.(*responses.Error))
	}
	if end {
		out = a.events.End(out, nil, 0)
	}
	if a.events.Speaks() {
		s.sawToken()
	}
	if !s.hold(a.x.kept() + a.events.Held()) {
		if a.held && !a.events.Started() {
			return s.reply(overloaded, overload())
		}
		out = a.events.End(out, overload(), 0)
		s.fail(overloaded)
	}
	if a.events.Done() && !s.complete {
		s.complete = true
		if a.events.Failed() {
			s.fail(upstreamStream)
		}
	}
	setAnswerChunk(out, size)
	s.written(out)
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
	return a.x.s.reply(upstreamStream, translate.CutError())
}

func (a *chatStream) free() {}
