package filter

import (
	"antwort/shared/config"
	"antwort/shared/policy"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// forwarded is a request of provider vllm-responses: bodies pass unchanged and
// unbuffered, in both profiles. Of the request only its size is looked at, of
// the answer its usage. Errors without a JSON body (Envoy's own) get one. Only the
// body of a caller with certain models is read, see checked.
type forwarded struct {
	s      *stream
	create bool // POST /v1/responses
	asks   bool // its body names a model
	size   int64
	check  *checked // nil: the request's body passes unread
	answer answer   // nil: it passes
	whole  watchedAnswer
}

func (x *forwarded) requestHeaders(h header, end bool) types.Action {
	limit := x.s.cfg.Limits.RequestBodyBytes
	if h.length() > limit {
		return x.s.reply(tooLarge, policy.TooLarge(limit))
	}
	if x.create {
		h.removeRequest("accept-encoding") // usage must be readable
	}
	decided, err := x.s.chooseUnread(h)
	if err != nil {
		return x.s.reply(noRoute, err)
	}
	if x.reads(h, decided) {
		x.check = &checked{s: x.s}
		return x.check.headers(h, end)
	}
	if !decided { // no body says what it is about
		if err := x.s.choose(h, ""); err != nil {
			return x.s.reply(noRoute, err)
		}
	}
	x.s.send()
	return types.ActionContinue
}

// reads reports whether the body is read: its model decides or becomes another
// one, or it may be sent again. In the profile inline none is. One that serves
// nothing but the choice among backends is left alone when it is not JSON.
func (x *forwarded) reads(h header, decided bool) bool {
	switch s := x.s; {
	case !x.asks || s.cfg.Filter.Profile != config.Gated:
		return false
	case s.caller.Restricted() || !decided || s.to.model != "":
		return true
	default:
		return s.to.readsBody() && policy.ContentType(h.all("content-type")) == nil && policy.Coding(h.all("content-encoding")) == ""
	}
}

func (x *forwarded) requestBody(size int, end bool) types.Action {
	x.size += int64(size)
	if limit := x.s.cfg.Limits.RequestBodyBytes; x.size > limit {
		return x.s.reply(tooLarge, policy.TooLarge(limit))
	}
	if x.check != nil {
		return x.check.chunk(size, end)
	}
	return types.ActionContinue
}

func (x *forwarded) requestTrailers() types.Action {
	if x.check != nil {
		return x.check.trailers()
	}
	return types.ActionContinue
}

func (x *forwarded) answerHeaders(h header, end bool) types.Action {
	status, kind := h.status(), policy.MediaType(h.get("content-type"))
	if x.s.requestID != "" && !h.has("x-request-id") {
		must(proxywasm.AddHttpResponseHeader("x-request-id", x.s.requestID))
	}
	if status >= 400 {
		x.s.fail(upstreamStatus)
	}
	x.s.complete = end
	switch {
	case status >= 400 && kind != "application/json":
		h.removeAnswer("content-length", "content-encoding")
		r := &refusal{s: x.s, kind: upstreamStatus, status: status}
		x.answer = r
		return r.headers(h, end)
	case status != 200 || !x.create || h.has("content-encoding"):
	case kind == "text/event-stream":
		x.answer = newWatchedStream(x.s)
	case kind == "application/json":
		x.whole = watchedAnswer{s: x.s, gathered: body{s: x.s, length: h.length()}}
		x.answer = &x.whole
	}
	return types.ActionContinue
}

func (x *forwarded) answerBody(size int, end bool) types.Action {
	x.s.complete = x.s.complete || end
	if x.answer == nil {
		return types.ActionContinue
	}
	return x.answer.body(size, end)
}

func (x *forwarded) answerTrailers() types.Action {
	x.s.complete = true
	if x.answer == nil {
		return types.ActionContinue
	}
	return x.answer.trailers()
}

func (x *forwarded) done() {
	if x.check != nil {
		x.check.free()
	}
	if x.answer != nil {
		x.answer.free()
	}
}
