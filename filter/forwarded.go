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
	endpoint *policy.Endpoint // nil: none of the API's
	size     int64
	check    *checked // nil: the request's body passes unread
	answer   answer   // nil: it passes
	whole    watchedAnswer
}

func (x *forwarded) requestHeaders(h header, end bool) types.Action {
	limit := x.cfg.Limits.RequestBodyBytes
	if h.length() > limit {
		return x.reply(failure.TooLarge, policy.TooLarge(limit))
	}
	if x.counts() {
		h.removeRequest("accept-encoding") // usage must be readable
	}
	endpoint := x.endpoint
	if endpoint != nil && !endpoint.Allows(h.get(":method")) {
		endpoint = nil // what it means is for the backend to say
	}
	if f := x.begin(endpoint, h, end); f != nil {
		return x.answerFailure(f)
	}
	if x.decision.Need == policy.Body {
		x.check = &checked{}
		x.check.expect(x.exchange, h)
		return x.check.headers(end)
	}
	x.direct()
	return types.ActionContinue
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
	x.departed()
	status, kind := h.status(), policy.MediaType(h.get("content-type"))
	if x.requestID != "" && !h.has("x-request-id") {
		must(proxywasm.AddHttpResponseHeader("x-request-id", x.requestID))
	}
	failed, e := x.ofEnvoy(status, h)
	if e == nil && status >= 400 {
		failed = failure.UpstreamStatus
	}
	if failed != failure.None {
		x.fail(failed)
	}
	x.complete = end
	switch {
	case e != nil || status >= 400 && kind != "application/json":
		h.removeAnswer("content-length", "content-encoding")
		r := &refusal{exchange: x.exchange, kind: failure.UpstreamStatus, status: status}
		x.answer = r
		return r.headers(h, end)
	case status != 200 || !x.counts() || h.has("content-encoding"):
	case kind == "text/event-stream" && x.endpoint.Passes:
		x.answer = newPassedStream(x.exchange)
	case kind == "text/event-stream":
		x.answer = newWatchedStream(x.exchange)
	case kind == "application/json":
		x.whole = watchedAnswer{exchange: x.exchange, length: h.length()}
		x.answer = &x.whole
	}
	return types.ActionContinue
}

// counts reports whether answers say how many tokens they took.
func (x *forwarded) counts() bool {
	return x.endpoint == policy.Create || x.endpoint != nil && x.endpoint.Passes
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

func (x *forwarded) drop() int {
	if x.check != nil {
		x.check.free()
	}
	return 0
}

func (x *forwarded) done() {
	if x.check != nil {
		x.check.free()
	}
	if x.answer != nil {
		x.answer.free()
	}
}
