package envoy

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"antwort/shared/config"
	"antwort/shared/policy"
)

// limitsName is Envoy's filter that counts requests (limits.rules). It stands behind the
// plugin, which says of each limited request whose it is.
const (
	limitsName    = "envoy.filters.http.local_ratelimit"
	limitsMessage = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
)

// most a bucket of Envoy's can hold.
const mostRequests = math.MaxUint32

// Unkept are the limits of callers that an Envoy would not keep to, each by its key, and why.
func Unkept(c *config.Config) (problems []error) {
	say := func(key, why string) { problems = append(problems, errors.New(key+": "+why)) }
	rules := c.Limits.Rules.All()
	if len(rules) > 0 && c.Limits.Store == config.RedisLimits {
		say("limits.store", "an Envoy counts for itself: leave redis to an antwort serve behind it, or let each Envoy count (memory)")
	}
	for i := range rules {
		l, at := &rules[i], "limits.rules["+strconv.Itoa(i)+"]"
		if l.RequestsAtOnce > 0 {
			say(at+".requests_at_once", "Envoy knows of requests at once of a cluster, not of a caller: leave this to an antwort serve behind it")
		}
		if l.RequestsPerMinute > mostRequests {
			say(at+".requests_per_minute", "Envoy counts to "+strconv.Itoa(mostRequests)+" at most")
		}
		for _, tokens := range []struct {
			name  string
			limit int64
		}{{"tokens_per_minute", l.TokensPerMinute}, {"tokens_per_day", l.TokensPerDay}, {"tokens_per_month", l.TokensPerMonth}} {
			if tokens.limit > 0 {
				say(at+"."+tokens.name, "Envoy counts requests, and a request's tokens are known when its answer has ended: leave this to an antwort serve behind it")
			}
		}
		if l.NeedsModel() && c.Filter.Profile != config.Gated {
			say(at, "depends on the model, which Envoy learns with filter.profile "+config.Gated+" only")
		}
	}
	return problems
}

// marks are the fields by which the plugin tells the limits of a request: no client's to
// say, and none of a backend's business.
func (r *renderer) marks() list {
	if !r.limited() {
		return nil
	}
	return list{policy.KeyField, policy.ModelField}
}

// levels are the fields by which the limits tell the plugin what is left: no backend's to say.
func (r *renderer) levels() list {
	if !r.limited() {
		return nil
	}
	return list{"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}
}

// limited reports whether Envoy counts requests.
func (r *renderer) limited() bool { return len(r.c.Limits.Rules.All()) > 0 }

// limitsFilter stands behind the plugin.
func (r *renderer) limitsFilter() object {
	if r.o.Supervised != nil {
		return r.discovered(limitsName, LimitsFile, limitsMessage)
	}
	return limits(r.c)
}

// RateLimit is the filter of limits.rules for an Envoy that somebody else configures.
func RateLimit(c *config.Config) ([]byte, error) { return marshal(limits(c)) }

// limits is the filter. All workers count together. A counter is made for whom it sees
// first, and whom it has not seen for longest is forgotten when there are too many.
func limits(c *config.Config) object {
	always := func(key string) object {
		return object{{"runtime_key", key}, {"default_value", object{{"numerator", 100}, {"denominator", "HUNDRED"}}}}
	}
	requests, counters := list{}, list{}
	rules := c.Limits.Rules.All()
	for i := range rules {
		if rules[i].RequestsPerMinute == 0 {
			continue
		}
		for _, w := range waysOf(rules, i) {
			requests = append(requests, object{{"actions", w.actions}})
			counters = append(counters, object{{"entries", w.entries}, {"token_bucket", bucket(rules[i].RequestsPerMinute, "60s")}})
		}
	}
	return extension(limitsName, limitsMessage, object{
		{"stat_prefix", "limits"},
		{"filter_enabled", always("antwort.limits_enabled")},
		{"filter_enforced", always("antwort.limits_enforced")},
		{"token_bucket", bucket(mostRequests, "1s")}, // of what no rule is for
		{"always_consume_default_token_bucket", false},
		{"enable_x_ratelimit_headers", "DRAFT_VERSION_03"},
		{"max_dynamic_descriptors", c.Limits.MaxCounters},
		{"rate_limits", requests},
		{"descriptors", counters},
	})
}

// bucket fills steadily, by so many requests in each time.
func bucket(n int64, each string) object {
	return object{{"max_tokens", n}, {"tokens_per_fill", n}, {"fill_interval", each}}
}

// A counted is how requests come to a counter of a rule, and how Envoy finds it: what the
// actions say of a request is what the entries ask for.
type counted struct{ actions, entries list }

func (w *counted) add(action object, key string, value any) {
	w.actions = append(w.actions, action)
	w.entries = append(w.entries, object{{"key", key}, {"value", value}})
}

// matches says name of requests whose fields are so, or of those whose are not.
func (w *counted) matches(key, name string, fields list, expect bool) {
	w.add(object{{"header_value_match", object{{"descriptor_key", key}, {"descriptor_value", name}, {"expect_match", expect}, {"headers", fields}}}}, key, name)
}

// apart counts by the value of a field.
func (w *counted) apart(key, field string) {
	w.add(object{{"request_headers", object{{"header_name", field}, {"descriptor_key", key}}}}, key, nil)
}

// waysOf are those of the requests that rule i holds for: it fits, and none does of those in
// front of it that count for the same. With per tenant there are two: who has no tenant is
// counted alone.
func waysOf(rules []config.LimitRule, i int) []counted {
	l := &rules[i]
	var w counted
	w.matches("rule", l.Name, append(list{isLimited}, fits(&l.Match)...), true)
	for j := range i {
		if before := &rules[j]; slices.Equal(before.Per, l.Per) {
			w.matches("not", before.Name, fits(&before.Match), false)
		}
	}
	has := func(what string) bool { return slices.Contains(l.Per, what) }
	if has(config.PerKey) {
		w.apart("key", policy.KeyField)
	}
	if has(config.PerModel) {
		w.apart("model", policy.ModelField)
	}
	if !has(config.PerTenant) {
		if has(config.PerSubject) {
			w.apart("subject", policy.SubjectField)
		}
		return []counted{w}
	}
	alone := counted{slices.Clone(w.actions), slices.Clone(w.entries)}
	alone.matches("tenant", "none", list{object{{"name", policy.TenantField}, {"present_match", true}}}, false)
	alone.apart("subject", policy.SubjectField)
	w.apart("tenant", policy.TenantField)
	if has(config.PerSubject) {
		w.apart("subject", policy.SubjectField)
	}
	if len(l.Match.Tenants) > 0 { // who has none does not fit
		return []counted{w}
	}
	return []counted{w, alone}
}

// isLimited are the requests that models answer, which the plugin marks with their caller's key.
var isLimited = object{{"name", policy.KeyField}, {"present_match", true}}

// fits are the matchers of what a rule is for.
func fits(m *config.LimitMatch) (all list) {
	for _, of := range []struct {
		field string
		names []string
	}{{policy.SubjectField, m.Subjects}, {policy.TenantField, m.Tenants}, {policy.ModelField, m.Models}} {
		if len(of.names) == 0 {
			continue
		}
		patterns := make([]string, len(of.names))
		for i, name := range of.names {
			patterns[i] = regexp.QuoteMeta(name)
			if of.field == policy.ModelField {
				patterns[i] = strings.ReplaceAll(patterns[i], `\*`, ".*")
			}
		}
		all = append(all, object{{"name", of.field}, {"string_match", object{{"safe_regex", object{{"regex", strings.Join(patterns, "|")}}}}}})
	}
	return all
}

// unkept refuses what Unkept names.
func unkept(c *config.Config) error {
	if problems := Unkept(c); len(problems) > 0 {
		return fmt.Errorf("envoy does not keep to it: %w", errors.Join(problems...))
	}
	return nil
}
