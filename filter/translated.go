package filter

import (
	"bytes"
	"strconv"

	"antwort/shared/failure"
	"antwort/shared/jsontext"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/summary"
	"antwort/shared/translate"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// translated is a request of provider vllm: POST /v1/responses goes on as POST
// /v1/chat/completions, and how many tokens that would have is asked of POST /tokenize. Its states: gathering the body, sent (the chat request
// has gone on), answered (answer is set).
//
// In the profile gated headers wait for what the body says. In the profile
// inline they never do; the body comes later, and of the request only local
// replies can still be sent.
type translated struct {
	upload
	endpoint *policy.Endpoint // nil: no endpoint
	path     string
	turn     *translate.Turn
	summed   *summary.Pending // nil: nothing is to be summed up
	answer   answer
	resource chatAnswer // the answer when it is whole
}

// chatPath is where translated requests go.
const chatPath = "/v1/chat/completions"

// notChat are request fields that a chat request does not have; secrets, among them,
// are between the client and the gateway.
var (
	notChat = []string{"content-length", "accept-encoding", "authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"}
	secrets = notChat[2:]
)

func (x *translated) requestHeaders(h header, end bool) types.Action {
	x.expect(x.exchange, h)
	if action, refused := x.refuse(h, end); refused {
		return action
	}
	if end {
		return x.send(nil, true)
	}
	if x.gated() {
		x.wait()
		x.toChat(h)
		return types.ActionPause
	}
	x.toChat(h)
	x.direct()
	return types.ActionContinue
}

// target is the path that the request goes to.
func (x *translated) target() string {
	if x.counts() {
		return x.counting().Path()
	}
	return chatPath
}

// counts reports whether the request asks how many tokens it has, and counting is who
// is asked.
func (x *translated) counts() bool { return x.endpoint == policy.InputTokens }

func (x *translated) counting() translate.Count { return translate.Count(x.cfg.Engine.CountTokens) }

// toChat makes the header that of a chat request.
func (x *translated) toChat(h header) {
	h.setRequest(":path", x.target())
	h.removeRequest(notChat...)
}

// refuse answers what its headers rule out.
func (x *translated) refuse(h header, end bool) (action types.Action, refused bool) {
	method := h.get(":method")
	if x.endpoint == nil {
		return x.reply(failure.UnknownPath, policy.UnknownPath(x.path)), true
	}
	if !x.endpoint.Allows(method) {
		return x.reply(failure.WrongMethod, x.endpoint.WrongMethod(method, ""), [2]string{"allow", x.endpoint.Allow}), true
	}
	if f := x.begin(x.endpoint, h, end); f != nil {
		return x.answerFailure(f), true
	}
	return x.overLength()
}

func (x *translated) requestBody(size int, end bool) types.Action {
	x.gate.passed(x.exchange)
	if x.sent {
		if end {
			x.left()
		}
		action, refused := x.trailing(size)
		if !refused {
			setRequestChunk(nil, size)
		}
		return action
	}
	body, action, whole := x.next(size, end)
	if !whole {
		x.memory.ground.follow(len(x.body.buf))
		return action
	}
	action = x.inTurn(body, end)
	x.body.free()
	return action
}

// inTurn sends the request, unless its caller has had enough of this turn.
func (x *translated) inTurn(body []byte, end bool) types.Action {
	if len(body) < turnBytes {
		return x.send(body, end)
	}
	caller := ""
	if x.turns.crowded() {
		x.countsFor()
		if caller = x.holding.caller; x.turns.had(caller) {
			return x.reply(failure.Overloaded, policy.Overloaded())
		}
	}
	begun := x.clock.now()
	action := x.send(body, end)
	if x.turns.took(caller, x.clock.now().since(begun)); x.turns.crowded() {
		x.ticker.hurry() // the next turn begins with it
	}
	return action
}

// send translates the request and puts it in the place of the running chunk.
// end says that the request has ended.
func (x *translated) send(body []byte, end bool) types.Action {
	if x.isChecked() { // translation may change it
		x.decision.Foresee(body)
	}
	out, turn, err := x.translate(body)
	if err != nil {
		return x.reply(failure.InvalidRequest, err)
	}
	x.sent, x.turn = true, turn
	if x.isChecked() {
		body = nil
	}
	if f := x.decision.Translated(turn.Model(), body, nil); f != nil {
		return x.answerFailure(f)
	}
	if x.counts() {
		if err := x.counting().Uncountable(turn); err != nil {
			return x.reply(failure.InvalidRequest, err)
		}
		x.out = out[:0]
		out = x.counting().Append(x.take(len(out)+256), out)
		defer x.give(out)
	}
	if !x.accept(x.kept()) {
		return x.reply(failure.Overloaded, policy.Overloaded())
	}
	if x.gated() {
		x.direct()
		x.named(turn.Model())
		x.keepTogether()
	}
	if !x.counts() {
		x.written(out)
	}
	if x.pool.model != "" {
		out = turn.AppendRenamed(x.take(len(out)+len(x.pool.model)), out, x.pool.model)
		defer x.give(out)
	}
	if ended := end || x.body.length >= 0; ended && x.gated() { // nothing can follow: only then the upstream may take it for complete
		must(proxywasm.ReplaceHttpRequestHeader("content-length", strconv.Itoa(len(out))))
	}
	must(proxywasm.ReplaceHttpRequestBody(out))
	if x.marked && !end {
		x.stays(len(out))
	} else {
		x.departs(len(out))
	}
	return types.ActionContinue
}

func (x *translated) translate(body []byte) (out []byte, turn *translate.Turn, err *responses.Error) {
	defer x.memory.quiet(len(body))()
	out = x.out[:0]
	if x.endpoint != policy.Compact {
		if out, turn, err = x.translateOnce(out, body); err == nil {
			return out, turn, nil
		}
	}
	if x.summarizes(body, err) {
		return x.summarize(out[:0], body)
	}
	return out, turn, err
}

func (x *translated) translateOnce(out, body []byte) ([]byte, *translate.Turn, *responses.Error) {
	translator := x.translator.For(policy.SealsFor(x.cfg, x.caller))
	if !x.isChecked() {
		return translator.Request(out, body, newID(), x.begun.unix())
	}
	out = jsontext.Grow(out, len(body)+len(body)/8)
	if x.summarizer != nil && x.summarizer.Fits(len(body)) {
		body = bytes.Clone(body)
	}
	return translator.Arrived(out, body, &x.body.check, newID(), x.begun.unix())
}

// kept is what stays of the request until its answer's end.
func (x *translated) kept() int {
	if x.summed != nil {
		return x.turn.Held() + x.summed.Held()
	}
	return x.turn.Held()
}

func (x *translated) requestTrailers() types.Action { return x.trailers() }

func (x *translated) answerHeaders(h header, end bool) types.Action {
	x.departed()
	status, coding := h.status(), policy.Coding(h.all("content-encoding"))
	h.removeAnswer("content-length", "content-encoding")
	if x.requestID != "" {
		h.setAnswer("x-request-id", x.requestID)
	}
	if status != 200 {
		return x.refused(h, x.refusal(status), end)
	}
	stream := policy.MediaType(h.get("content-type")) == "text/event-stream"
	switch {
	case x.holding.dropped:
		return x.refused(h, &refusal{exchange: x.exchange, kind: failure.Overloaded, err: policy.Overloaded()}, end)
	case x.turn == nil:
		return x.refused(h, wrongAnswer(x.exchange, "an answer before it had the request"), end)
	case coding != "":
		return x.refused(h, wrongAnswer(x.exchange, "an answer with a content-encoding that it was not offered"), end)
	case (x.counts() || x.summed != nil) && end:
		return x.refused(h, wrongAnswer(x.exchange, "an answer without a body"), end)
	case x.counts():
		return x.gather(h, "application/json", numbered{x}, x.cfg.Limits.ResponseBodyBytes)
	case x.summed != nil:
		return x.sum(h)
	case x.turn.Streaming() && !stream && end:
		return x.refused(h, &refusal{exchange: x.exchange, kind: failure.UpstreamAnswer, err: policy.NotStreamed()}, end)
	case end && x.turn.Streaming():
		return x.refused(h, &refusal{exchange: x.exchange, kind: failure.UpstreamStream, err: translate.CutError()}, end)
	case end:
		return x.refused(h, wrongAnswer(x.exchange, "an answer without a body"), end)
	case x.turn.Streaming():
		return x.stream(h, stream)
	}
	return x.whole(h)
}

// refusal is an answer that is an error.
func (x *translated) refusal(status int) *refusal {
	r := &refusal{exchange: x.exchange, kind: failure.UpstreamStatus, status: status, ownKey: x.pool != nil && x.pool.auth != ""}
	if x.counts() {
		r.counting = x.counting()
	}
	return r
}

func (x *translated) refused(h header, r *refusal, end bool) types.Action {
	x.answer = r
	return r.headers(h, end)
}

// stream begins with an answer in events, or, where its header does not say so, with
// what its first byte tells.
func (x *translated) stream(h header, typed bool) types.Action {
	h.setAnswer("content-type", "text/event-stream")
	h.setAnswer("cache-control", "no-cache")
	x.tellDropped(h)
	events := x.turn.Stream()
	events.Clock, events.Untyped = x.clock.unix, !typed
	answer := &chatStream{x: x, events: events, held: x.gated()}
	events.Drain(answer.put)
	x.answer = answer
	return x.heldBack()
}

func (x *translated) whole(h header) types.Action {
	h.setAnswer("content-type", "application/json")
	x.tellDropped(h)
	x.resource = chatAnswer{x: x, length: h.length()}
	x.answer = &x.resource
	return x.heldBack()
}

// tellDropped says in an answer's header which tools of the request were left
// out.
func (x *translated) tellDropped(h header) {
	if dropped := x.turn.DroppedTools(); dropped != "" {
		h.setAnswer(translate.DroppedToolsField, dropped)
		x.metrics.dropped.Increment(1)
	}
}

// heldBack is how the headers of an answer wait for its body, or do not.
func (x *translated) heldBack() types.Action {
	if x.gated() {
		return types.ActionPause
	}
	return types.ActionContinue
}

func (x *translated) answerBody(size int, end bool) types.Action {
	return x.answer.body(size, end)
}

func (x *translated) answerTrailers() types.Action { return x.answer.trailers() }

// drop frees the body, or the answer and what it repeats of the request.
func (x *translated) drop() int {
	x.upload.free()
	if x.answer != nil {
		x.answer.free()
	}
	if x.turn == nil {
		return 0
	}
	x.turn.Forget()
	return x.kept()
}

func (x *translated) done() {
	if !x.sent && x.body.passed >= firmBytes {
		x.memory.ground.drop()
	}
	x.upload.free()
	if x.answer != nil {
		x.answer.free()
	}
	x.settle()
}

// settle counts what the answer has used, and gives back the turn.
func (x *translated) settle() {
	if x.turn != nil {
		if u := x.turn.Usage(); u != nil {
			x.used(u)
		} else if x.summed != nil { // its answer was no summary, or goes out without a turn
			x.used(x.summed.Usage())
		}
		x.turn.Free()
		x.turn = nil
	}
}
