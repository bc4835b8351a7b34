package filter

import (
	"strconv"
	"strings"
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
	if endpoint == nil || !endpoint.NamesModel(h.get(":method")) {
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

// mostTold is the largest number of tokens that Envoy adds at once. No answer has as many: a
// backend that counts more is not believed.
const mostTold = 1_000_000_000

// used counts the tokens of a request, and tells Envoy's rate limit of them where it counts
// them when the request has ended.
func (x *exchange) used(u *responses.Usage) {
	x.metrics.usage(u)
	if n := u.Input + u.Output; x.marked && x.cfg.Filter.TellTokens && n >= 0 && n <= mostTold {
		must(proxywasm.SetProperty([]string{"antwort_tokens"}, strconv.AppendInt(nil, n, 10)))
	}
}

// What Envoy's rate limit says of the limit of which the least is left.
const (
	limitField     = "x-ratelimit-limit"
	remainingField = "x-ratelimit-remaining"
	resetField     = "x-ratelimit-reset" // seconds until there is room for one request
)

// levels are what is left of a limit.
type levels struct {
	limit, left, wait int64
	name              string // that a service tells, as "tokens per day"; "": it is Envoy's own, of requests per minute
}

// levelsOf reads what Envoy's rate limit says: 60, or of a service 60, 60;w=60;name="tokens per minute".
func levelsOf(h header) (l levels, has bool) {
	limit, policies, _ := strings.Cut(h.get(limitField), ",")
	l.limit, l.left, l.wait = number(limit), number(h.get(remainingField)), number(h.get(resetField))
	if _, of, named := strings.Cut(policies, " "+limit+";"); named {
		_, of, _ = strings.Cut(of, `"`)
		l.name, _, _ = strings.Cut(of, `"`)
	}
	return l, l.limit > 0 && l.left >= 0 && l.wait >= 0
}

// unit is what the limit counts.
func (l *levels) unit() string {
	if strings.HasPrefix(l.name, "tokens") {
		return "tokens"
	}
	return "requests"
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
	h.setAnswer("x-ratelimit-limit-"+l.unit(), strconv.FormatInt(l.limit, 10))
	h.setAnswer("x-ratelimit-remaining-"+l.unit(), strconv.FormatInt(l.left, 10))
	full := time.Duration(l.wait) * time.Second
	if l.name == "" { // it fills steadily
		full = time.Duration(max(0, l.limit-l.left)) * time.Minute / time.Duration(l.limit)
	}
	h.setAnswer("x-ratelimit-reset-"+l.unit(), full.Round(time.Millisecond).String())
}

// limited is the answer of Envoy's rate limit in the words of the API.
func limited(h header) (failure.Kind, *responses.Error) {
	l, _ := levelsOf(h)
	kind, e := failure.RateLimited, responses.NewError(429, "rate_limit_exceeded", "rate limit reached: ")
	again := "; try again in "
	e.Type, e.RetryAfter = l.unit(), strconv.FormatInt(max(1, l.wait), 10)
	if strings.HasSuffix(l.name, "day") {
		kind, e.Type, e.Code = failure.BudgetSpent, "insufficient_quota", "insufficient_quota"
		e.Message, again = "the budget is spent: ", "; it begins anew in "
		h.setAnswer("x-should-retry", "false")
	}
	what := l.name
	if what == "" {
		what = "requests per minute"
	}
	e.Message += strconv.FormatInt(l.limit, 10) + " " + what + ", " + strconv.FormatInt(l.limit-l.left, 10) + " used" + again + e.RetryAfter + "s"
	return kind, e
}
