package filter

import (
	"strconv"

	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// listed is a backend's list of models for a caller who may use certain ones: the
// answer is gathered, and a list of these put in its place.
type listed struct {
	*exchange
	list   *policy.ModelList
	text   body
	passes bool // the answer is an error
	sent   bool
}

// listBytes is the longest list that is read.
const listBytes = 1 << 20

func (l *listed) requestHeaders(h header, _ bool) types.Action {
	h.removeRequest("accept-encoding")
	return types.ActionContinue
}

func (l *listed) requestBody(int, bool) types.Action { return types.ActionContinue }

func (l *listed) requestTrailers() types.Action { return types.ActionContinue }

func (l *listed) answerHeaders(h header, end bool) types.Action {
	l.text = body{buffers: &l.buffers, length: h.length()}
	if l.passes = h.status() != 200; l.passes {
		l.complete = true
		return types.ActionContinue
	}
	if end || policy.Coding(h.all("content-encoding")) != "" {
		return l.broken()
	}
	h.removeAnswer("content-length")
	if l.gated() {
		return types.ActionPause
	}
	return types.ActionContinue
}

// broken answers in the place of what is no list. In the profile inline, where the
// header has left, it cuts the answer.
func (l *listed) broken() types.Action {
	return l.reply(failure.UpstreamAnswer, responses.NewError(502, "upstream_invalid_answer", "the model server sent no list of models, or too long a one"))
}

func (l *listed) answerBody(size int, end bool) types.Action {
	if l.passes {
		return types.ActionContinue
	}
	if l.sent {
		setAnswerChunk(nil, size)
		return types.ActionContinue
	}
	if len(l.text.buf)+size > listBytes || !l.holdAnswer(l.text.room(size)) {
		return l.broken()
	}
	all, whole := l.text.add(answerChunk(size), end)
	if whole {
		return l.send(all, size)
	}
	setAnswerChunk(nil, size)
	if l.gated() {
		return pauseNoBuffer
	}
	return types.ActionContinue
}

func (l *listed) send(all []byte, size int) types.Action {
	if !l.list.Add(l.decision.Route, &l.pool.backend, all) {
		return l.broken()
	}
	out := l.list.Append(nil)
	if l.gated() {
		must(proxywasm.ReplaceHttpResponseHeader("content-length", strconv.Itoa(len(out))))
	}
	setAnswerChunk(out, size)
	l.sent, l.complete = true, true
	return types.ActionContinue
}

func (l *listed) answerTrailers() types.Action {
	if l.passes || l.sent {
		return types.ActionContinue
	}
	return l.broken()
}

func (l *listed) drop() int { return cap(l.text.buf) } // it counts for nobody

func (l *listed) done() { l.text.free() }
