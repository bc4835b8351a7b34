// Package limits says how much callers may use: requests at once, requests and tokens
// a minute, budgets of tokens a day and a month.
//
//	caller ────────► Enter ───┬─► Pass ─► Reserve ─► … ─► Settle ─► server/limits/meter
//	model, tokens ──────────────────────────┘        ▲                      server/limits/redis
//	                          └─► refusal: 429       └ what the upstream has counted
//
// A request enters by its caller, before its body is read; its Pass goes with it, asks
// for tokens once its model is known, and is settled when the exchange is recorded. The
// rules are those of one configuration, the counts those of the process.
package limits

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"antwort/server/limits/meter"
	"antwort/server/limits/redis"
	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/policy"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are what limits take from their surroundings.
type Options struct {
	Log        *slog.Logger
	Now        func() time.Time
	Registerer prometheus.Registerer
}

// Limiter has the counts of a process, for all of its configurations.
type Limiter struct {
	opt     Options
	store   meter.Store
	close   func(context.Context) error // of the store; nil: there is nothing to close
	metrics *metrics
}

// New makes the limiter of a process, which must be closed. It contacts nobody yet.
func New(cfg *config.Config, opt Options) (*Limiter, error) {
	l := &Limiter{opt: opt}
	if cfg.Limits.Store == config.MemoryLimits {
		l.store = meter.NewMemory(cfg.Limits.MaxCounters, opt.Now)
		l.metrics = newMetrics(opt.Registerer, l.store.Len)
		return l, nil
	}
	l.metrics = newMetrics(opt.Registerer, func() int { return 0 })
	at := &cfg.Limits.Redis
	store, err := redis.New(redis.Options{URL: at.URL.Reveal(), Prefix: at.Prefix, Timeout: at.Timeout, Changed: l.changed, Lost: l.metrics.lose})
	if err != nil {
		return nil, err
	}
	l.store, l.close = store, store.Close
	return l, nil
}

// changed says that the store cannot count any more, or again.
func (l *Limiter) changed(err error) {
	if err != nil {
		l.metrics.up.Set(0)
		said := "the store of limits cannot be reached"
		if redis.Refused(err) {
			said = "the store of limits answers with an error"
		}
		l.opt.Log.Warn(said+": limits.on_failure says what becomes of requests", "problem", err.Error())
		return
	}
	l.metrics.up.Set(1)
	l.opt.Log.Info("the store of limits is back")
}

// Close settles, within ctx, what has not been settled yet.
func (l *Limiter) Close(ctx context.Context) {
	if l.close == nil {
		return
	}
	if err := l.close(ctx); err != nil {
		l.opt.Log.Error("closing the store of limits", "problem", err.Error())
	}
}

// Rules are those of one configuration. They are safe for concurrent use.
type Rules struct {
	*Limiter
	groups []group
	closed bool  // nobody passes while the store cannot be reached
	tokens bool  // some rule limits them
	output int64 // tokens that an answer is taken to have, where the request does not bound it
}

// group are the rules that count for the same. The first that matches holds.
type group struct {
	per   per
	model bool // some of them depends on the model
	rules []rule
}

// per is whose use is counted apart.
type per struct{ key, subject, tenant, model bool }

type rule struct {
	name   string
	match  config.LimitMatch
	limits *meter.Limits // nil: none
	from   *config.LimitRule
}

// Rules makes those of a configuration.
func (l *Limiter) Rules(cfg *config.Config) *Rules {
	r := &Rules{Limiter: l, output: int64(cfg.Limits.DefaultOutputTokens), closed: cfg.Limits.OnFailure == config.Closed}
	rules := cfg.Limits.Rules.All()
	for i := range rules {
		from := &rules[i]
		has := func(what string) bool { return slices.Contains(from.Per, what) }
		p := per{has(config.PerKey), has(config.PerSubject), has(config.PerTenant), has(config.PerModel)}
		at := slices.IndexFunc(r.groups, func(g group) bool { return g.per == p })
		if at < 0 {
			at = len(r.groups)
			r.groups = append(r.groups, group{per: p})
		}
		g := &r.groups[at]
		g.model = g.model || from.NeedsModel()
		next := rule{name: from.Name, match: from.Match, from: from}
		if from.IsLimit() {
			next.limits = &meter.Limits{
				meter.RequestsAtOnce: from.RequestsAtOnce, meter.RequestsPerMinute: from.RequestsPerMinute, meter.TokensPerMinute: from.TokensPerMinute,
				meter.TokensPerDay: from.TokensPerDay, meter.TokensPerMonth: from.TokensPerMonth,
			}
		}
		g.rules = append(g.rules, next)
		r.tokens = r.tokens || from.CountsTokens()
	}
	return r
}

// CountTokens reports whether tokens are limited.
func (r *Rules) CountTokens() bool { return r.tokens }

// Limited reports whether there are any.
func (r *Rules) Limited() bool { return len(r.groups) > 0 }

// Enter lets a request in by its caller, nil where nobody is asked: it takes what does
// not depend on the model. Settle must be called in any case.
func (r *Rules) Enter(ctx context.Context, p *Pass, caller *policy.Identity) *failure.Failure {
	if !r.Limited() {
		return nil
	}
	p.begin(r, caller)
	return p.take(ctx, false)
}

// hold finds the rule of a group that holds for a request; nil: none limits it.
func (g *group) hold(caller *policy.Identity, model string) *rule {
	for i := range g.rules {
		if l := &g.rules[i]; fits(&l.match, caller, model) {
			if l.limits == nil {
				return nil
			}
			return l
		}
	}
	return nil
}

// Holding are the rules that hold for the requests of a caller for a model.
func (r *Rules) Holding(caller *policy.Identity, model string) (all []*config.LimitRule) {
	for i := range r.groups {
		if l := r.groups[i].hold(caller, model); l != nil {
			all = append(all, l.from)
		}
	}
	return all
}

func fits(m *config.LimitMatch, caller *policy.Identity, model string) bool {
	if len(m.Subjects) > 0 && (caller == nil || !slices.Contains(m.Subjects, caller.Subject)) ||
		len(m.Tenants) > 0 && (caller == nil || !slices.Contains(m.Tenants, caller.Tenant)) {
		return false
	}
	return len(m.Models) == 0 || slices.ContainsFunc(m.Models, func(pattern string) bool { return policy.Matches(pattern, model) })
}
