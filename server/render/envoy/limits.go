package envoy

import (
	"errors"
	"fmt"
	"math"
	"strconv"

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
	rules, shared := c.Limits.Rules.All(), areShared(c)
	if len(rules) > 0 && shared && c.Limits.Service == "" {
		say("limits.store", "an Envoy asks no Redis: set limits.service to an envoyproxy/ratelimit that has it, let each Envoy count for itself (memory), or leave this to an antwort serve behind it")
	}
	for i := range rules {
		l, at := &rules[i], "limits.rules["+strconv.Itoa(i)+"]"
		if l.RequestsAtOnce > 0 {
			say(at+".requests_at_once", "Envoy knows of requests at once of a cluster, not of a caller: leave this to an antwort serve behind it")
		}
		for _, of := range limitsOf(l) {
			switch {
			case of.tokens && !shared:
				say(at+"."+of.name, "Envoy counts requests, and a request's tokens are known when its answer has ended: set limits.service, or leave this to an antwort serve behind it")
			case of.unit == "":
				say(at+"."+of.name, "the month of envoyproxy/ratelimit has 30 days: leave this to an antwort serve behind it")
			case of.limit > mostRequests:
				say(at+"."+of.name, "Envoy counts to "+strconv.Itoa(mostRequests)+" at most")
			}
		}
		if l.NeedsModel() && c.Filter.Profile != config.Gated {
			say(at, "depends on the model, which Envoy learns with filter.profile "+config.Gated+" only")
		}
	}
	return problems
}

// limitOf is a limit of a rule: by its name, and the unit of time in which a service counts it.
type limitOf struct {
	name   string
	limit  int64
	unit   string // "": none that is the calendar's
	tokens bool
}

// limitsOf are the limits that a rule has, but for requests at once.
func limitsOf(l *config.LimitRule) (all []limitOf) {
	for _, of := range []limitOf{
		{"requests_per_minute", l.RequestsPerMinute, "minute", false},
		{"tokens_per_minute", l.TokensPerMinute, "minute", true},
		{"tokens_per_day", l.TokensPerDay, "day", true},
		{"tokens_per_month", l.TokensPerMonth, "", true},
	} {
		if of.limit > 0 {
			all = append(all, of)
		}
	}
	return all
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

// limitsFilters stand behind the plugin.
func (r *renderer) limitsFilters() list {
	name, file, message := limitsFile(r.c)
	switch {
	case !r.limited():
		return nil
	case r.o.Supervised != nil:
		return append(append(r.whole(), remembered(r.c)...), r.discovered(name, file, message))
	}
	return append(append(r.whole(), remembered(r.c)...), limits(r.c))
}

// wholeName is Envoy's filter that holds a request until it has ended.
const wholeName = "envoy.filters.http.buffer"

// whole has a translated request end before it is counted: Envoy closes the connection of a
// request of HTTP/1.1 that it refuses earlier, and who is refused asks again soon. The plugin
// lets a chat request go in one piece, and counts what is held here.
func (r *renderer) whole() list {
	if r.c.Engine.Provider != config.VLLM {
		return nil
	}
	return list{extension(wholeName, "envoy.extensions.filters.http.buffer.v3.Buffer", object{{"max_request_bytes", r.c.Limits.RequestBodyBytes + spare}})}
}

// inPieces has none of this for a way whose requests the plugin lets pass as they come.
func (r *renderer) inPieces() member {
	return member{"typed_per_filter_config", object{{wholeName, typed("envoy.extensions.filters.http.buffer.v3.BufferPerRoute", object{{"disabled", true}})}}}
}

// areShared reports whether somebody counts for several Envoys.
func areShared(c *config.Config) bool { return c.Limits.Store == config.RedisLimits }

// limitsFile is the filter that counts: Envoy's own, or the one that asks a service.
func limitsFile(c *config.Config) (name, file, message string) {
	if areShared(c) {
		return sharedName, SharedLimitsFile, sharedMessage
	}
	return limitsName, LimitsFile, limitsMessage
}

// limits is the filter that counts.
func limits(c *config.Config) object {
	if areShared(c) {
		return sharedLimits(c)
	}
	return ownLimits(c)
}

// RateLimit are the filters of limits.rules for an Envoy that somebody else configures, in
// their order.
func RateLimit(c *config.Config) (all [][]byte, err error) {
	for _, filter := range append(remembered(c), limits(c)) {
		text, err := marshal(filter)
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, nil
}

// ownLimits is Envoy's local rate limit. All workers count together. A counter is made for
// whom it sees first, and whom it has not seen for longest is forgotten when there are too
// many.
func ownLimits(c *config.Config) object {
	always := func(key string) object {
		return object{{"runtime_key", key}, {"default_value", object{{"numerator", 100}, {"denominator", "HUNDRED"}}}}
	}
	requests, counters := list{}, list{}
	rules := c.Limits.Rules.All()
	for i := range rules {
		if rules[i].RequestsPerMinute == 0 {
			continue
		}
		for _, w := range waysOf("rule", rules, i) {
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

// unkept refuses what Unkept names.
func unkept(c *config.Config) error {
	if problems := Unkept(c); len(problems) > 0 {
		return fmt.Errorf("envoy does not keep to it: %w", errors.Join(problems...))
	}
	return nil
}
