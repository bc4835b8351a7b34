package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fastjson"
)

// LimitRule says how much somebody may use. Of the rules that count for the same
// (Per), the first that matches a request holds for it; a rule without a match is the
// default of those behind it.
type LimitRule struct {
	Name  string   // what metrics, logs and counters call it
	Per   []string // whose use is counted apart: PerKey, PerSubject, PerTenant, PerModel; none: all have one count
	Match LimitMatch

	// 0 is no limit. A rule without any lets those pass whom it matches.
	RequestsAtOnce    int64
	RequestsPerMinute int64
	TokensPerMinute   int64
	TokensPerDay      int64 // of the calendar, in UTC
	TokensPerMonth    int64 // likewise
}

// LimitMatch says whose requests a rule is for: those that fit all that is set.
type LimitMatch struct {
	Subjects []string
	Tenants  []string
	Models   []string // names or patterns with *
}

// Values of limits.rules[].per.
const (
	PerKey     = "key"
	PerSubject = "subject"
	PerTenant  = "tenant"
	PerModel   = "model"
)

// Bounds of the list.
const (
	maxLimitRules = 100
	maxLimit      = 100_000_000_000 // counts of Redis' scripts are exact up to 60,000 times as many
)

// NeedsModel reports whether the rule depends on the model that a request names.
func (l *LimitRule) NeedsModel() bool {
	return len(l.Match.Models) > 0 || slices.Contains(l.Per, PerModel)
}

// CountsTokens reports whether the rule limits tokens.
func (l *LimitRule) CountsTokens() bool {
	return l.TokensPerMinute > 0 || l.TokensPerDay > 0 || l.TokensPerMonth > 0
}

// IsLimit reports whether the rule limits anything.
func (l *LimitRule) IsLimit() bool {
	return l.RequestsAtOnce > 0 || l.RequestsPerMinute > 0 || l.CountsTokens()
}

// LimitRules are the rules of a configuration.
type LimitRules struct {
	list []LimitRule
	text string // as they were given
}

// All are the rules, in their order. The filter has none.
func (l *LimitRules) All() []LimitRule {
	if l == nil {
		return nil
	}
	return l.list
}

// limitRules is the list limits.rules. In the environment it is its JSON. The filter
// keeps it as a text only, to refuse it: what is in it is read where it is validated.
type limitRules struct{}

func (limitRules) kind() string { return "list" }

func (limitRules) values() string {
	return "objects with `name`, `per`, `match`, `requests_at_once`, `requests_per_minute`, `tokens_per_minute`, `tokens_per_day` and `tokens_per_month`"
}

func (limitRules) want() string {
	return "a list of objects with name, and perhaps per, match, requests_at_once, requests_per_minute, tokens_per_minute, tokens_per_day and tokens_per_month"
}

func (limitRules) reset(c *Config) { c.Limits.Rules = nil }

func (limitRules) set(c *Config, in input) bool {
	if in.form != variable {
		return false
	}
	v, problem := parseList(in.text)
	if problem == "" {
		c.Limits.setRules(v)
	}
	return problem == ""
}

func (limitRules) explain(in input) string {
	if in.form != variable {
		return ""
	}
	_, problem := parseList(in.text)
	return problem
}

func (limitRules) read(r *reader, _ string, v *fastjson.Value) { r.config.Limits.setRules(v) }

func (l *Limits) setRules(v *fastjson.Value) {
	if l.Rules = nil; len(v.GetArray()) > 0 {
		l.Rules = &LimitRules{text: string(v.MarshalTo(nil))}
	}
}

func (limitRules) text(c *Config) string {
	if c.Limits.Rules == nil {
		return ""
	}
	return c.Limits.Rules.text
}

func (limitRules) isDefault(c, _ *Config) bool { return c.Limits.Rules == nil }

func (limitRules) schema(dst []byte, _ *Config) []byte {
	texts := func(what string) string {
		return `{"type":"array","minItems":1,"maxItems":` + strconv.Itoa(maxMatches) + `,"items":{"type":"string"},"description":"` + what + `"}`
	}
	limit := func(name, what string) string {
		return `,"` + name + `":{"type":"integer","minimum":1,"maximum":` + strconv.FormatInt(maxLimit, 10) + `,"description":"` + what + `"}`
	}
	dst = append(dst, `"type":"array","maxItems":`...)
	dst = strconv.AppendInt(dst, maxLimitRules, 10)
	return append(dst, `,"items":{"type":"object","additionalProperties":false,"required":["name"],"properties":{`+
		`"name":{"type":"string","pattern":"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$","description":"What metrics, logs and counters call the rule."},`+
		`"per":{"type":"array","minItems":1,"uniqueItems":true,"items":{"enum":["key","subject","tenant","model"]},"description":"Whose use is counted apart; none: all have one count."},`+
		`"match":{"type":"object","additionalProperties":false,"description":"Whose requests the rule is for; none: all.","properties":{`+
		`"subjects":`+texts("Callers.")+`,"tenants":`+texts("Tenants of callers.")+`,"models":`+texts("Models, * stands for any text.")+`}}`+
		limit("requests_at_once", "Requests at the same time.")+
		limit("requests_per_minute", "Requests a minute.")+
		limit("tokens_per_minute", "Tokens a minute, input and output.")+
		limit("tokens_per_day", "Tokens a day, in UTC.")+
		limit("tokens_per_month", "Tokens a month, in UTC.")+
		`}}`...)
}

// readLimitRules reads the list for a server.
func (c *Config) readLimitRules(ps *Problems) {
	if c.Limits.Rules == nil {
		return
	}
	v, _ := parseList(c.Limits.Rules.text) // it is the text of a list
	entries := v.GetArray()
	const path = "limits.rules"
	if len(entries) > maxLimitRules {
		ps.add(path, "", "has "+strconv.Itoa(len(entries))+" rules, at most "+strconv.Itoa(maxLimitRules)+" are allowed")
		return
	}
	r := reader{config: c}
	rules := make([]LimitRule, len(entries))
	for i, entry := range entries {
		r.limitRule(entryAt(path, i), entry, &rules[i])
	}
	if c.Limits.Rules.list = rules; len(r.problems) > 0 {
		*ps = append(*ps, r.problems...)
		return
	}
	c.validateLimitRules(ps)
}

func (r *reader) limitRule(path string, v *fastjson.Value, l *LimitRule) {
	ok := r.object(path, v, []member{
		{"name", textAt(&l.Name, isRouteName, "1 to 64 lower-case letters, digits and -", false)},
		{"per", textsAt(&l.Per, 4, oneOf(PerKey, PerSubject, PerTenant, PerModel), "key, subject, tenant or model")},
		{"match", func(r *reader, path string, v *fastjson.Value) {
			r.object(path, v, []member{
				{"subjects", textsAt(&l.Match.Subjects, maxMatches, isIdentity, anIdentity)},
				{"tenants", textsAt(&l.Match.Tenants, maxMatches, isIdentity, anIdentity)},
				{"models", textsAt(&l.Match.Models, maxMatches, isLine, "a name, in which * stands for any text")},
			}, nil)
		}},
		{"requests_at_once", limitAt(&l.RequestsAtOnce)},
		{"requests_per_minute", limitAt(&l.RequestsPerMinute)},
		{"tokens_per_minute", limitAt(&l.TokensPerMinute)},
		{"tokens_per_day", limitAt(&l.TokensPerDay)},
		{"tokens_per_month", limitAt(&l.TokensPerMonth)},
	}, nil)
	if !ok {
		return
	}
	if l.Name == "" {
		r.problems.add(path, "", "name must be set: what metrics, logs and counters call the rule")
	}
	slices.Sort(l.Per)
	if len(slices.Compact(slices.Clone(l.Per))) < len(l.Per) {
		r.problems.add(path+".per", "", "names one twice")
	}
	if m := &l.Match; !l.IsLimit() && len(m.Subjects)+len(m.Tenants)+len(m.Models) == 0 {
		r.problems.add(path, "", "limits nothing: set a limit, or a match to let some pass that a later rule would limit")
	}
	inOrder(&r.problems, formatCount, path+".tokens_per_day", l.TokensPerDay, path+".tokens_per_month", unlessSet(l.TokensPerMonth))
}

// unlessSet is more than any limit where there is none.
func unlessSet(limit int64) int64 {
	if limit == 0 {
		return maxLimit
	}
	return limit
}

func formatCount(n int64) string { return strconv.FormatInt(n, 10) }

// limitAt reads a limit.
func limitAt(at *int64) func(*reader, string, *fastjson.Value) {
	return func(r *reader, path string, v *fastjson.Value) {
		in := fromJSON(v)
		n, err := strconv.ParseInt(in.text, 10, 64)
		if in.form != number || err != nil || n < 1 || n > maxLimit {
			r.problems.add(path, "", "got "+in.got()+", want an integer from 1 to "+formatCount(maxLimit)+"; leave it out for no limit")
			return
		}
		*at = n
	}
}

// validateLimitRules checks the rules among each other, and whether somebody is asked
// who calls.
func (c *Config) validateLimitRules(ps *Problems) {
	rules := c.Limits.Rules.list
	for i := range rules {
		l, at := &rules[i], entryAt("limits.rules", i)
		for j := range i {
			before := &rules[j]
			switch {
			case before.Name == l.Name:
				ps.add(at+".name", "", "the same name as "+entryAt("limits.rules", j))
			case slices.Equal(before.Per, l.Per) && before.Match.all():
				ps.add(at, "", "is never used: "+entryAt("limits.rules", j)+" in front of it, which counts for the same, matches every request")
			}
		}
		c.validateLimited(ps, at, l)
	}
}

func (m *LimitMatch) all() bool { return len(m.Subjects)+len(m.Tenants)+len(m.Models) == 0 }

// validateLimited refuses a rule for callers who are not told from each other.
func (c *Config) validateLimited(ps *Problems, at string, l *LimitRule) {
	asks := strings.Join(l.Per, " ")
	if len(l.Match.Subjects) > 0 {
		asks += " " + PerSubject
	}
	if len(l.Match.Tenants) > 0 {
		asks += " " + PerTenant
	}
	has := func(what string) bool { return strings.Contains(asks, what) }
	switch {
	case c.Auth.Type == NoAuth && (has(PerKey) || has(PerSubject) || has(PerTenant)):
		ps.add(at, "", "needs to know who calls, and nobody is asked with auth.type "+NoAuth)
	case c.Auth.Type == JWTAuth && has(PerKey):
		ps.add(at+".per", "", "callers have no keys with auth.type "+JWTAuth+": take subject")
	case c.Auth.Type == JWTAuth && has(PerTenant) && c.Auth.JWT.TenantClaim == "":
		ps.add(at, "", "needs to know the tenant, which no token tells: set auth.jwt.tenant_claim")
	}
}

// validateLimits checks the rules and their store.
func (c *Config) validateLimits(ps *Problems) {
	if r := &c.Limits.Redis; c.Limits.Store == RedisLimits && !r.URL.IsSet() && r.URLFile == "" && r.URLEnv == "" {
		ps.add("limits.redis.url", "", "must be set with limits.store redis, or url_file or url_env: the URL of the Redis")
	}
	if c.Limits.Service != "" && c.Limits.Store != RedisLimits {
		ps.add("limits.service", "", "counts in a Redis: set limits.store "+RedisLimits)
	}
	c.readLimitRules(ps)
}

// resolvedLimits refuses a Redis that is no URL.
func (c *Config) resolvedLimits(ps *Problems) {
	scheme, _, _ := strings.Cut(c.Limits.Redis.URL.Reveal(), "://")
	if scheme != "" && scheme != "redis" && scheme != "rediss" && scheme != "unix" {
		ps.add("limits.redis.url", "", "want a URL that begins with redis://, rediss:// or unix://")
	}
}

// withoutLimits is c without what only a server can have, or Envoy keeps to around the
// filter, for the filter.
func (c *Config) withoutLimits() {
	if rules := c.Limits.Rules; rules != nil {
		c.Filter.RateLimits = CallerRateLimits
		if slices.ContainsFunc(rules.All(), func(l LimitRule) bool { return l.NeedsModel() }) {
			c.Filter.RateLimits = ModelRateLimits
		}
		c.Filter.TellTokens = c.Limits.Service != "" && slices.ContainsFunc(rules.All(), func(l LimitRule) bool { return l.CountsTokens() })
		c.Limits.Rules = nil
	}
	r := &c.Limits.Redis
	r.URL, r.URLFile, r.URLEnv, c.Limits.Service = Secret{}, "", "", ""
	c.Limits.MaxRequests, c.Engine.MaxRequests = 0, 0
	c.Routes = slices.Clone(c.Routes)
	for i := range c.Routes {
		route := &c.Routes[i]
		route.Backends = slices.Clone(route.Backends)
		for j := range route.Backends {
			route.Backends[j].MaxRequests = 0
		}
	}
}

// limitless refuses limits in the filter.
func (c *Config) limitless(ps *Problems) {
	if c.Limits.Rules != nil {
		ps.add("limits.rules", "", "the filter keeps no counts: antwort envoy makes rate limits of Envoy's of them, and what those cannot do belongs to an antwort serve")
	}
	if c.Filter.RateLimits == ModelRateLimits && c.Filter.Profile != Gated {
		ps.add("filter.rate_limits", "", "the filter knows models in time with filter.profile "+Gated+" only")
	}
	const breakers = "the filter keeps no counts: this belongs into Envoy's circuit breakers, or to an antwort serve"
	if c.Limits.MaxRequests > 0 {
		ps.add("limits.max_requests", "", breakers)
	}
	if c.Engine.MaxRequests > 0 {
		ps.add("engine.max_requests", "", breakers)
	}
	for i := range c.Routes {
		for j := range c.Routes[i].Backends {
			if c.Engine.MaxRequests == 0 && c.Routes[i].Backends[j].MaxRequests > 0 {
				ps.add("routes["+strconv.Itoa(i)+"].backends["+strconv.Itoa(j)+"].max_requests", "", breakers)
			}
		}
	}
}
