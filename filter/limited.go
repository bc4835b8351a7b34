package filter

import (
	"strconv"
	"time"

	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// Envoy's own rate limit stands behind the filter where filter.rate_limits says so. It
// counts what the filter marks, by whom the filter says it is of, and answers 429 in
// words of its own.

// mark tells Envoy's rate limit that a request is one that it counts, and by which key it
// came.
func (x *exchange) mark(h header, endpoint *policy.Endpoint) {
	if x.cfg.Filter.RateLimits == config.NoRateLimits || endpoint == nil || !endpoint.NamesModel(h.get(":method")) {
		return
	}
	key := "none"
	if x.caller != nil && x.caller.Key != "" {
		key = x.caller.Key
	}
	must(proxywasm.AddHttpRequestHeader(policy.KeyField, key))
	x.marked = true
}

// named tells Envoy's rate limit the model of a request that is marked, while its header waits.
func (x *exchange) named(model string) {
	if x.marked && x.cfg.Filter.RateLimits == config.ModelRateLimits {
		must(proxywasm.ReplaceHttpRequestHeader(policy.ModelField, model))
	}
}

// What Envoy's rate limit says of the rule of which the least is left.
const (
	limitField     = "x-ratelimit-limit"
	remainingField = "x-ratelimit-remaining"
	resetField     = "x-ratelimit-reset" // seconds until there is room for one request
)

// levels are what is left of a limit of requests a minute.
type levels struct{ limit, left, wait int64 }

// levelsOf reads what Envoy's rate limit says.
func levelsOf(h header) (l levels, has bool) {
	l.limit, l.left, l.wait = number(h.get(limitField)), number(h.get(remainingField)), number(h.get(resetField))
	return l, l.limit > 0 && l.left >= 0 && l.wait >= 0
}

// number is -1 for what is none.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// tellLimits says in OpenAI's words what Envoy's rate limit says in its own.
func (x *exchange) tellLimits(h header) {
	l, has := levelsOf(h)
	if !has {
		return
	}
	h.removeAnswer(limitField, remainingField, resetField)
	h.setAnswer("x-ratelimit-limit-requests", strconv.FormatInt(l.limit, 10))
	h.setAnswer("x-ratelimit-remaining-requests", strconv.FormatInt(l.left, 10))
	full := time.Duration(max(0, l.limit-l.left)) * time.Minute / time.Duration(l.limit)
	h.setAnswer("x-ratelimit-reset-requests", full.Round(time.Millisecond).String())
}

// limited is the answer of Envoy's rate limit in the words of the API.
func limited(h header) (failure.Kind, *responses.Error) {
	l, _ := levelsOf(h)
	wait := strconv.FormatInt(max(1, l.wait), 10)
	e := responses.NewError(429, "rate_limit_exceeded", "rate limit reached: "+strconv.FormatInt(l.limit, 10)+" requests per minute, "+
		strconv.FormatInt(l.limit-l.left, 10)+" used; try again in "+wait+"s")
	e.Type, e.RetryAfter = "requests", wait
	return failure.RateLimited, e
}
