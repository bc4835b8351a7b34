package limits

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"antwort/server/limits/meter"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// What the SDKs of OpenAI tell apart: the code says what has happened, and the type what
// of.
const (
	rateCode  = "rate_limit_exceeded"
	quotaCode = "insufficient_quota"
)

var words = [meter.Kinds]string{"requests at once", "requests per minute", "tokens per minute", "tokens per day", "tokens per month"}

// refuse tells the client of a refusal.
func (p *Pass) refuse(r *meter.Refusal) *failure.Failure {
	l := p.of[r.Take]
	p.limit = l.rule.name + "/" + r.Kind.String()
	p.rules.metrics.refusals.WithLabelValues(l.rule.name, r.Kind.String()).Inc()
	limit := strconv.FormatInt(l.rule.limits[r.Kind], 10) + " " + words[r.Kind]
	used := ", " + strconv.FormatInt(r.Used, 10) + " used"
	if wanted := p.takes[r.Take].Tokens; wanted > 0 && r.Kind >= meter.TokensPerMinute {
		used += ", " + strconv.FormatInt(wanted, 10) + " needed at most (input, and max_output_tokens)"
	}
	e := responses.NewError(http.StatusTooManyRequests, rateCode, "")
	e.RetryAfter = strconv.FormatInt(seconds(r.Wait), 10)
	if r.Kind < meter.TokensPerDay {
		e.Type = "requests"
		if r.Kind == meter.TokensPerMinute {
			e.Type = "tokens"
		}
		e.Message = "rate limit reached for " + l.per.whose() + ": " + limit + used + "; try again in " + r.Wait.Round(time.Millisecond).String()
		return failure.Of(failure.RateLimited, e)
	}
	e.Code, e.Type = quotaCode, quotaCode
	state := " is spent: "
	if r.Used < l.rule.limits[r.Kind] {
		state = " has too little left: "
	}
	e.Message = "the budget of " + l.per.whose() + state + limit + used + "; it begins anew at " + r.Until.Format(time.RFC3339)
	return failure.Of(failure.BudgetSpent, e).With("X-Should-Retry", "false")
}

// Limit is which rule has refused the request, and what of it, for the log; "": none.
func (p *Pass) Limit() string { return p.limit }

// seconds rounds up, to 1 at least.
func seconds(d time.Duration) int64 { return max(1, int64((d+time.Second-1)/time.Second)) }

// whose says whom the limit is for, to who meets it.
func (p *per) whose() string {
	var of []string
	for _, who := range []struct {
		is   bool
		what string
	}{{p.key, "your API key"}, {p.subject, "your account"}, {p.tenant, "your tenant"}, {p.model, "this model"}} {
		if who.is {
			of = append(of, who.what)
		}
	}
	if of == nil {
		return "all callers"
	}
	return strings.Join(of, " and ")
}

// unavailable lets a request pass of which nobody knows how much its caller has used, or tells
// it so.
func (r *Rules) unavailable(cause error) *failure.Failure {
	if !r.closed {
		r.metrics.failures.WithLabelValues(passed).Inc()
		return nil
	}
	r.metrics.failures.WithLabelValues(refused).Inc()
	return failure.Of(failure.LimitsUnavailable, policy.LimitsUnavailable()).Because(cause)
}
