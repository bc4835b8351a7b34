package limits

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strconv"

	"antwort/server/limits/meter"
	"antwort/server/observe"
	"antwort/shared/failure"
	"antwort/shared/policy"
)

// Pass is what one request has taken. The zero value has taken nothing, and nothing is
// asked of it. One goroutine at a time uses it.
type Pass struct {
	rules  *Rules // nil: there are none
	caller *policy.Identity

	takes   []meter.Take // and the first so many are taken
	of      []holding    // whose each is
	entered int
	resumed bool // it has entered when it was let in
	room    [3]meter.Take
	owners  [3]holding

	input, reserved int64 // tokens
	periods         meter.Periods
	levels          meter.Result
	limit           string // by which it was refused
}

// holding is a rule that holds for a request.
type holding struct {
	rule *rule
	per  *per
}

// begin adds the counters that do not depend on the model.
func (p *Pass) begin(r *Rules, caller *policy.Identity) {
	p.rules, p.caller = r, caller
	for i := range r.groups {
		if g := &r.groups[i]; !g.model {
			p.add(g, "")
		}
	}
}

// add is a further counter for the request, if a rule of the group holds for it.
func (p *Pass) add(g *group, model string) {
	l := g.hold(p.caller, model)
	if l == nil {
		return
	}
	if p.takes == nil {
		p.takes, p.of = p.room[:0], p.owners[:0]
	}
	p.takes = append(p.takes, meter.Take{Counter: name(l, g.per, p.caller, model), Instead: l.name, Limits: l.limits, Enters: !p.resumed})
	p.of = append(p.of, holding{l, &g.per})
}

// name is a counter's: the rule's, and those who are counted apart.
func name(l *rule, by per, caller *policy.Identity, model string) string {
	var room [meter.MaxName]byte
	b := append(room[:0], l.name...)
	if caller != nil {
		if by.key {
			b = part(b, caller.Key)
		}
		if by.tenant {
			b = part(b, caller.Tenant)
		}
		if by.subject || by.tenant && caller.Tenant == "" { // who has no tenant is one alone
			b = part(b, caller.Subject)
		}
	}
	if by.model {
		b = part(b, model)
	}
	if len(b) > meter.MaxName {
		sum := sha256.Sum256(b)
		b = append(append(b[:0], l.name...), sum[:]...)
	}
	return string(b)
}

// part appends a text so that no other texts give the same name.
func part(b []byte, text string) []byte {
	b = strconv.AppendInt(append(b, ' '), int64(len(text)), 10)
	return append(append(b, ':'), text...)
}

// Need is what a request needs, once it has been read.
type Need struct {
	Model   string
	Input   int64 // tokens, as far as they can be told
	Output  int64 // tokens at most; 0: the request does not bound them
	Nothing bool  // no tokens at all: no model answers
}

// Reserve takes what depends on the model, and the tokens that the request may use.
func (p *Pass) Reserve(ctx context.Context, n Need) *failure.Failure { return p.reserve(ctx, n, false) }

// Resume is Reserve for a request that was let in before, and waited: it is refused
// nothing.
func (r *Rules) Resume(ctx context.Context, p *Pass, caller *policy.Identity, n Need) {
	if !r.Limited() {
		return
	}
	p.resumed = true
	p.begin(r, caller)
	p.reserve(ctx, n, true)
}

func (p *Pass) reserve(ctx context.Context, n Need, force bool) *failure.Failure {
	if p.rules == nil {
		return nil
	}
	for i := range p.takes {
		p.takes[i].Enters = false
	}
	for i := range p.rules.groups {
		if g := &p.rules.groups[i]; g.model {
			p.add(g, n.Model)
		}
	}
	if p.rules.tokens && !n.Nothing {
		if n.Output <= 0 {
			n.Output = p.rules.output
		}
		p.input = bounded(n.Input)
		p.reserved = bounded(p.input + bounded(n.Output))
		for i := range p.takes {
			p.takes[i].Tokens = p.reserved
		}
	}
	return p.take(ctx, force)
}

// take takes all.
func (p *Pass) take(ctx context.Context, force bool) *failure.Failure {
	if len(p.takes) == 0 {
		return nil
	}
	result, err := p.rules.store.Take(ctx, p.takes, force)
	if err != nil {
		rules := p.rules
		if p.input, p.reserved = 0, 0; p.entered == 0 {
			p.rules = nil // nothing more is asked of it
		}
		return rules.unavailable(err)
	}
	p.levels, p.periods = result, result.Periods
	if result.Refused != nil {
		p.input, p.reserved = 0, 0
		return p.refuse(result.Refused)
	}
	p.entered = len(p.takes)
	return nil
}

// Dress says how much is left, as OpenAI does.
func (p *Pass) Dress(h http.Header) {
	dress(h, "Requests", p.levels.Requests)
	dress(h, "Tokens", p.levels.Tokens)
}

func dress(h http.Header, what string, l meter.Level) {
	if l.Limit == 0 {
		return
	}
	h["X-Ratelimit-Limit-"+what] = []string{strconv.FormatInt(l.Limit, 10)}
	h["X-Ratelimit-Remaining-"+what] = []string{strconv.FormatInt(l.Left, 10)}
	h["X-Ratelimit-Reset-"+what] = []string{l.Reset.String()}
}

// Settle ends the request, whose record is complete; asked says that a backend was. What
// the upstream has counted is what was used. It comes once.
func (p *Pass) Settle(r *observe.Record, asked bool) {
	if p.rules == nil || p.entered == 0 {
		return
	}
	more := p.used(r, asked) - p.reserved
	var room [3]meter.Settlement
	all := room[:0]
	for i := range p.takes[:p.entered] {
		t := &p.takes[i]
		all = append(all, meter.Settlement{Counter: t.Counter, Lease: t.Lease, Limits: t.Limits, Leaves: !p.resumed, More: more, Periods: p.periods})
	}
	p.rules.store.Settle(all)
	p.rules = nil
}

// bounded is a number of tokens that clients or model servers have named, which may be any:
// two of them make a sum, and none is negative.
func bounded(tokens int64) int64 { return min(max(0, tokens), meter.MaxTokens) }

// used is how many tokens the request has used. An answer that has begun and ended
// without a count has used what was reserved, or what has passed by an estimate if that is
// more: else whoever leaves before the count, or does not ask for it, would pay little. One
// that never began, as its client left, has used its input.
func (p *Pass) used(r *observe.Record, asked bool) int64 {
	switch o := &r.Outcome; {
	case p.reserved == 0:
		return 0
	case o.HasUsage && o.Usage.Input <= meter.MaxTokens && o.Usage.Output <= meter.MaxTokens: // else it is no count
		return bounded(bounded(o.Usage.Input) + bounded(o.Usage.Output))
	case !asked:
		return 0
	case r.Status == http.StatusOK:
		return max(p.reserved, bounded(p.input+bounded(r.Passed)))
	case r.Failure == failure.ClientGone:
		return p.input
	}
	return 0
}
