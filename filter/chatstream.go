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
	size   int  // of the running chunk, while nothing is in its place
	gone   bool // something is
}

func (a *chatStream) body(size int, end bool) types.Action {
	x := a.x
	if x.complete { // what still comes says nothing
		setAnswerChunk(nil, size)
		return types.ActionContinue
	}
	a.size, a.gone = size, false
	out := x.out[:0]
	if !a.held && size > 0 {
		// The status has gone: a failure can only be an event.
		out = a.events.Start(out)
	}
	var err error
	room := !x.holding.dropped
	if room {
		out, err = a.events.Write(out, answerChunk(size), 0)
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
		room = a.events.Done() || x.holdText(x.kept()+a.events.Held())
	}
	if !room {
		if a.held && !a.events.Started() {
			return x.reply(failure.Overloaded, policy.Overloaded())
		}
		out = a.events.End(out, policy.Overloaded(), 0)
		x.fail(failure.Overloaded)
	}
	out = a.put(a.apart(out))
	x.written(out)
	if a.events.Done() {
		a.ended()
	}
	if a.held && !a.gone {
		return pauseNoBuffer
	}
	a.held = false
	return types.ActionContinue
}

// put puts events in the place of the running chunk, behind those that are there. It returns
// what to append more to: of long events the VM holds a piece at a time.
func (a *chatStream) put(events []byte) []byte {
	if a.gone {
		appendAnswerChunk(events)
	} else {
		setAnswerChunk(events, a.size)
		a.gone = len(events) > 0
	}
	return events[:0]
}

// apart puts the last events up to the end of the items that they lack, if any, and returns
// the rest.
func (a *chatStream) apart(events []byte) []byte {
	if !a.events.Done() {
		return events
	}
	at, items := a.events.Apart()
	if len(items) == 0 {
		return events
	}
	a.put(events[:at])
	for _, piece := range items {
		a.put(piece)
	}
	return events[at:]
}

// ended lets go of all that the stream holds: its upstream may take long to end.
func (a *chatStream) ended() {
	x := a.x
	x.complete = true
	if a.events.Outcome().Failed() {
		x.fail(failure.UpstreamStream)
	}
	a.events = nil
	x.settle()
	x.letGo()
}

// trailers end a stream that is complete. The end of another one cannot be told
// any more: Envoy takes no body here.
func (a *chatStream) trailers() types.Action {
	if a.x.complete {
		return types.ActionContinue
	}
	return a.x.reply(failure.UpstreamStream, translate.CutError())
}

func (a *chatStream) free() {}
