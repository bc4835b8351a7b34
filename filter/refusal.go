package filter

import (
	"strconv"
	"strings"

	"antwort/shared/chat"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/translate"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// refusal is an answer that is an error, of the upstream or of Envoy itself:
// its body is replaced by one in OpenAI's shape, and its status by what the
// error means for the client.
type refusal struct {
	*exchange
	kind   failure.Kind
	err    *responses.Error // nil until it is known
	status int              // of the answer
	ownKey bool
	// counting says that the upstream was asked how many tokens there are; "": it was not.
	counting translate.Count
	after    string // its Retry-After, while the headers wait
	text     body
	sent     bool
}

func wrongAnswer(x *exchange, what string) *refusal {
	return &refusal{exchange: x, kind: failure.UpstreamAnswer, err: responses.NewError(502, "upstream_invalid_answer", "the model server sent "+what)}
}

func (r *refusal) headers(h header, end bool) types.Action {
	if r.err == nil {
		if kind, e := r.ofEnvoy(r.status, h); e != nil {
			r.kind, r.err = kind, e
		}
	}
	r.fail(r.kind)
	r.text = body{buffers: &r.buffers, length: h.length()}
	if r.err == nil {
		e := translate.UpstreamError(r.status, nil, "", r.ownKey)
		if end || r.status != 500 && (e.Status != r.status || e.Status >= 500) { // the text makes no difference
			r.err = e
		}
	}
	if end { // without a body there is nothing to replace
		if r.status == 404 && codeDetails() == "route_not_found" {
			r.err = responses.NewError(404, "no_route", "the gateway has no route for this request's path: its operator must add one")
		}
		if after := h.get("retry-after"); after != "" {
			r.err.RetryAfter = after
		}
		return r.reply(r.kind, r.err)
	}
	h.setAnswer("content-type", "application/json")
	h.removeAnswer("www-authenticate")
	if r.err != nil {
		if r.err.RetryAfter != "" {
			h.setAnswer("retry-after", r.err.RetryAfter)
		}
		h.setAnswer(":status", strconv.Itoa(r.err.Status))
		r.as.code = r.err.Status
		must(proxywasm.ReplaceHttpResponseHeader("content-length", strconv.Itoa(len(r.err.AppendBody(nil)))))
	}
	if r.waits() {
		r.after = strings.Clone(h.get("retry-after"))
		return types.ActionPause
	}
	return types.ActionContinue
}

// ofEnvoy is what an answer of this status says that is Envoy's own: its circuit breaker
// let nothing more through, or its rate limit; nil: it is none of these.
func (x *exchange) ofEnvoy(status int, h header) (failure.Kind, *responses.Error) {
	switch {
	case status == 503 && strings.Contains(codeDetails(), "{overflow}"):
		return failure.Overloaded, policy.Full()
	case !x.marked:
	case status == 429 && strings.HasSuffix(codeDetails(), "_rate_limited"): // local_ or request_
		return limited(h)
	case status == 503 && codeDetails() == "rate_limiter_error":
		return failure.LimitsUnavailable, policy.LimitsUnavailable()
	}
	return failure.None, nil
}

// waits reports whether the headers wait for the text: a 500 may say that the request
// is too long, which is a 400, and a 404 that nobody counts tokens, which is a 501. In the
// profile inline they never do, and the body alone says it.
func (r *refusal) waits() bool {
	return r.err == nil && (r.status == 500 || r.counting != "" && (r.status == 404 || r.status == 405)) && r.gated()
}

// codeDetails is Envoy's word for where an answer comes from, "" when unknown.
func codeDetails() string {
	b, _ := proxywasm.GetProperty([]string{"response", "code_details"})
	return string(b)
}

func (r *refusal) body(size int, end bool) types.Action {
	if !r.sent && r.err == nil {
		waits := r.waits()
		r.read(answerChunk(size), end)
		switch {
		case waits && r.err != nil:
			return r.reply(r.kind, r.err)
		case waits:
			setAnswerChunk(nil, size)
			return pauseNoBuffer
		}
	}
	var out []byte
	if !r.sent && r.err != nil {
		out = r.err.AppendBody(nil)
		r.sent, r.complete = true, true
	}
	setAnswerChunk(out, size)
	return types.ActionContinue
}

// read takes the error's text; too much of it, or too little memory, ends it.
func (r *refusal) read(chunk []byte, end bool) {
	all, whole := r.text.add(chunk, end)
	if !whole && len(r.text.buf) <= chat.ErrorBytes && r.holdAnswer(r.text.room(0)) {
		return
	}
	if !whole {
		all = r.text.buf
	}
	r.err = r.said(all[:min(len(all), chat.ErrorBytes)])
	r.free()
	r.holdAnswer(0)
}

// trailers end the error. One whose end came with them only is cut: Envoy takes
// no body here.
func (r *refusal) trailers() types.Action {
	if r.sent {
		return types.ActionContinue
	}
	return r.reply(r.kind, r.said(r.text.buf))
}

func (r *refusal) free() { r.text.free() }

// said is the error that the answer's text says.
func (r *refusal) said(text []byte) *responses.Error {
	e := translate.UpstreamError(r.status, text, r.after, r.ownKey)
	if r.counting != "" {
		e = r.counting.Refused(e)
	}
	return e
}
