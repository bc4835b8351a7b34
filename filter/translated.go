package filter

import (
	"bytes"
	"slices"
	"strconv"

	"antwort/shared/config"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/translate"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// translated is a request of provider vllm: POST /v1/responses goes on as POST
// /v1/chat/completions. Its states: gathering the body, asked (the chat request
// has gone on), answered (answer is set).
//
// In the profile gated headers wait for what the body says. In the profile
// inline they never do; the body comes later, and of the request only local
// replies can still be sent.
type translated struct {
	s        *stream
	route    *policy.Endpoint // nil: no endpoint
	path     string
	body     body
	asked    bool
	turn     *translate.Turn
	answer   answer
	resource chatAnswer // the answer when it is whole
	asking   header     // gated: what the route is chosen by
}

// answer is how answers of one kind are handled.
type answer interface {
	body(size int, end bool) types.Action
	trailers() types.Action
	free()
}

// chatPath is where translated requests go.
const chatPath = "/v1/chat/completions"

// secrets are request fields that are between the client and the gateway.
var secrets = []string{"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"}

func (x *translated) requestHeaders(h header, end bool) types.Action {
	if action, refused := x.refuse(h); refused {
		return action
	}
	x.body = body{s: x.s, length: h.length()}
	if end {
		return x.ask(nil, true)
	}
	h.setRequest(":path", chatPath)
	h.removeRequest("content-length", "accept-encoding")
	h.removeRequest(secrets...)
	if x.gated() {
		x.asking = slices.Clone(h)
		x.s.gate.pause(x.s)
		return types.ActionPause
	}
	if _, err := x.s.chooseUnread(h); err != nil {
		return x.s.reply(noRoute, err)
	}
	x.s.send()
	return types.ActionContinue
}

// refuse answers what its headers rule out.
func (x *translated) refuse(h header) (action types.Action, refused bool) {
	s, limits := x.s, x.s.cfg.Limits
	method := h.get(":method")
	if x.route == nil {
		return s.reply(unknownPath, policy.UnknownPath(x.path)), true
	}
	if !x.route.Allows(method) {
		return s.reply(wrongMethod, x.route.WrongMethod(method), [2]string{"allow", x.route.Allow}), true
	}
	if x.route != policy.Create {
		return s.reply(notStored, x.route.NotHere()), true
	}
	if action, refused = s.unreadable(h); refused {
		return action, true
	}
	if length := h.length(); length > limits.RequestBodyBytes {
		return s.reply(tooLarge, policy.TooLarge(limits.RequestBodyBytes)), true
	} else if length >= 0 && length+s.inFlight > limits.InFlightBytes {
		return s.reply(overloaded, overload()), true
	}
	return 0, false
}

func (x *translated) gated() bool { return x.s.cfg.Filter.Profile == config.Gated }

func (x *translated) requestBody(size int, end bool) types.Action {
	x.s.gate.passed(x.s)
	chunk := requestChunk(size)
	if x.asked {
		return x.trailing(chunk)
	}
	all, whole := x.body.add(chunk, end)
	limits := x.s.cfg.Limits
	if int64(max(len(all), len(x.body.buf))) > limits.RequestBodyBytes {
		return x.s.reply(tooLarge, policy.TooLarge(limits.RequestBodyBytes))
	}
	if !x.s.hold(x.body.held()) {
		return x.s.reply(overloaded, overload())
	}
	if whole {
		return x.ask(all, end || x.body.length >= 0)
	}
	setRequestChunk(nil, size)
	if x.gated() {
		return pauseNoBuffer
	}
	return types.ActionContinue
}

// ask translates the request and puts it in the place of the running chunk.
// ended says that nothing can follow: only then the upstream may take it for
// complete.
func (x *translated) ask(body []byte, ended bool) types.Action {
	s := x.s
	out, turn, err := s.translator.Request(s.out[:0], body, newID(), s.begun.unix())
	defer x.body.free()
	if err != nil {
		return s.reply(invalidRequest, err)
	}
	if err := s.caller.Allows(turn.Model()); err != nil {
		return s.reply(forbiddenModel, err)
	}
	x.asked, x.turn = true, turn
	if !s.hold(x.kept()) {
		return s.reply(overloaded, overload())
	}
	if x.gated() {
		if err := s.choose(x.asking, turn.Model()); err != nil {
			return s.reply(noRoute, err)
		}
		s.send()
		if err := x.keepTogether(body); err != nil {
			return s.reply(invalidRequest, err)
		}
	}
	s.written(out)
	if s.to.model != "" {
		out = turn.AppendRenamed(s.take(len(out)+len(s.to.model)), out, s.to.model)
		defer s.give(out)
	}
	if ended && x.gated() {
		must(proxywasm.ReplaceHttpRequestHeader("content-length", strconv.Itoa(len(out))))
	}
	must(proxywasm.ReplaceHttpRequestBody(out))
	return types.ActionContinue
}

// kept is what stays of the request until its answer's end. What is usual is not
// counted, which would cost two calls of the host.
func (x *translated) kept() int {
	if n := x.turn.Held(); n > usualKept {
		return n
	}
	return 0
}

const usualKept = 4 << 10

// keepTogether names the conversation, where that decides about the backend.
func (x *translated) keepTogether(body []byte) *responses.Error {
	if !x.s.to.affinity {
		return nil
	}
	l := x.s.cfg.Limits
	r, err := policy.Read(body, responses.Limits{Depth: l.JSONDepth, Values: l.JSONValues})
	if err == nil {
		x.s.keepTogether(r)
	}
	return err
}

// trailing takes what comes after the document.
func (x *translated) trailing(chunk []byte) types.Action {
	if len(bytes.TrimLeft(chunk, " \t\r\n")) > 0 {
		return x.s.reply(invalidRequest, afterDocument())
	}
	setRequestChunk(nil, len(chunk))
	return types.ActionContinue
}

// requestTrailers ends the request. A document that is not complete by now is
// none: a body can no longer be sent.
func (x *translated) requestTrailers() types.Action {
	x.s.gate.passed(x.s)
	if x.asked {
		return types.ActionContinue
	}
	if e := responses.Check(x.body.buf, responses.Limits{}); e != nil {
		return x.s.reply(invalidRequest, e)
	}
	return x.s.reply(invalidRequest, responses.NewError(400, "invalid_json", "the request body must be a JSON object"))
}

func (x *translated) answerHeaders(h header, end bool) types.Action {
	s := x.s
	status, coding := h.status(), policy.Coding(h.all("content-encoding"))
	h.removeAnswer("content-length", "content-encoding")
	if s.requestID != "" {
		h.setAnswer("x-request-id", s.requestID)
	}
	if status != 200 {
		return x.refused(h, &refusal{s: s, kind: upstreamStatus, status: status, ownKey: s.to != nil && s.to.auth != ""}, end)
	}
	stream := policy.MediaType(h.get("content-type")) == "text/event-stream"
	switch {
	case x.turn == nil:
		return x.refused(h, wrongAnswer(s, "an answer before it had the request"), end)
	case coding != "":
		return x.refused(h, wrongAnswer(s, "an answer with a content-encoding that it was not offered"), end)
	case x.turn.Streaming() && !stream:
		return x.refused(h, &refusal{s: s, kind: upstreamAnswer, err: policy.NotStreamed()}, end)
	case end && x.turn.Streaming():
		return x.refused(h, &refusal{s: s, kind: upstreamStream, err: translate.CutError()}, end)
	case end:
		return x.refused(h, wrongAnswer(s, "an answer without a body"), end)
	case x.turn.Streaming():
		return x.stream(h)
	}
	return x.whole(h)
}

func (x *translated) refused(h header, r *refusal, end bool) types.Action {
	x.answer = r
	return r.headers(h, end)
}

func (x *translated) stream(h header) types.Action {
	h.setAnswer("content-type", "text/event-stream")
	h.setAnswer("cache-control", "no-cache")
	events := x.turn.Stream()
	events.Clock = x.s.clock.unix
	x.answer = &chatStream{x: x, events: events, held: x.gated()}
	return x.heldBack()
}

func (x *translated) whole(h header) types.Action {
	h.setAnswer("content-type", "application/json")
	x.resource = chatAnswer{x: x, gathered: body{s: x.s, length: h.length()}}
	x.answer = &x.resource
	return x.heldBack()
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

func (x *translated) done() {
	x.body.free()
	if x.answer != nil {
		x.answer.free()
	}
	if x.turn != nil {
		if u, ok := x.turn.Usage(); ok {
			x.s.metrics.usage(u)
		}
		x.turn.Free()
	}
}
