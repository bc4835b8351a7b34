package envoy

import (
	"antwort/shared/config"
	"antwort/shared/policy"
)

// limitsName is Envoy's filter that counts requests (limits.rules). It stands behind the
// plugin, which says of each limited request whose it is.
const (
	limitsName    = "envoy.filters.http.local_ratelimit"
	limitsMessage = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
)

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
