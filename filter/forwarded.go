package filter

import (
	"antwort/shared/failure"
	"antwort/shared/policy"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// forwarded is a request of provider vllm-responses: bodies pass unchanged and
// unbuffered, in both profiles. Of the request only its size is looked at, of
// the answer its usage. Errors without a JSON body (Envoy's own) get one. Only the
// body of a caller with certain models is read, see checked.
type forwarded struct {
	*exchange
	create bool // POST /v1/responses
	asks   bool // its body names a model
	size   int64
	check  *checked // nil: the request's body passes unread
	answer answer   // nil: it passes
	whole  watchedAnswer
}

func (x *forwarded) requestHeaders(h header, end bool) types.Action {
	limit := x.cfg.Limits.RequestBodyBytes
	if h.length() > limit {
		return x.reply(failure.TooLarge, policy.TooLarge(limit))
	}
	if x.create {
		h.removeRequest("accept-encoding") // usage must be readable
	}
	decided, err := x.chooseUnread(h)
	if err != nil {
		return x.reply(failure.NoRoute, err)
	}
	if x.reads(h, decided) {
		x.check = &checked{upload: x.newUpload(h)}
		return x.check.headers(h, end)
	}
	if !decided { // no body says what it is about
		if err := x.choose(h, ""); err != nil {
			return x.reply(failure.NoRoute, err)
		}
	}
	x.direct()
	return types.ActionContinue
}

// reads reports whether the body is read: its model decides or becomes another
// one, or it may be sent again. In the profile inline none is. One that serves
// nothing but the choice among backends is left alone when it is not JSON.
func (x *forwarded) reads(h header, decided bool) bool {
	switch {
	case !x.asks || !x.gated():
		return false
	case x.caller.Restricted() || !decided || x.pool.model != "":
		return true
	default:
		return x.pool.readsBody() && policy.ContentType(h.all("content-type")) == nil && policy.Coding(h.all("content-encoding")) == ""
	}
}

func (x *forwarded) requestBody(size int, end bool) types.Action {
	x.size += int64(size)
	if limit := x.cfg.Limits.RequestBodyBytes; x.size > limit {
		return x.reply(failure.TooLarge, policy.TooLarge(limit))
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
	if x.requestID != "" && !h.has("x-request-id") {
		must(proxywasm.AddHttpResponseHeader("x-request-id", x.requestID))
	}
	if status >= 400 {
		x.fail(failure.UpstreamStatus)
	}
	x.complete = end
	switch {
	case status >= 400 && kind != "application/json":
		h.removeAnswer("content-length", "content-encoding")
		r := &refusal{exchange: x.exchange, kind: failure.UpstreamStatus, status: status}
		x.answer = r
		return r.headers(h, end)
	case status != 200 || !x.create || h.has("content-encoding"):
	case kind == "text/event-stream":
		x.answer = newWatchedStream(x.exchange)
	case kind == "application/json":
		x.whole = watchedAnswer{exchange: x.exchange}
		x.answer = &x.whole
	}
	return types.ActionContinue
}

func (x *forwarded) answerBody(size int, end bool) types.Action {
	x.complete = x.complete || end
	if x.answer == nil {
		return types.ActionContinue
	}
	return x.answer.body(size, end)
}

func (x *forwarded) answerTrailers() types.Action {
	x.complete = true
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
