package envoy

import (
	"fmt"
	"strings"

	"antwort/shared/config"
)

// The filter that asks a service which counts for several Envoys (limits.service), and the
// service's own configuration. It is the gRPC service of envoyproxy/ratelimit.
const (
	sharedName    = "envoy.filters.http.ratelimit"
	sharedMessage = "envoy.extensions.filters.http.ratelimit.v3.RateLimit"
)

// whatWasUsed is what the plugin has counted of a request when it ends; where it has counted
// nothing nobody is asked.
const whatWasUsed = "%FILTER_STATE(wasm.antwort_tokens:PLAIN)%"

// sharedLimits is the filter. Tokens are looked at when a request comes, and counted when it
// has ended.
func sharedLimits(c *config.Config) object {
	var requests list
	eachShared(c, func(of limitOf, w counted) {
		if !of.tokens {
			requests = append(requests, object{{"actions", w.actions}})
			return
		}
		requests = append(requests,
			object{{"actions", w.actions}, {"hits_addend", object{{"number", 0}}}},
			object{{"actions", w.afterwards}, {"hits_addend", object{{"format", whatWasUsed}}}, {"apply_on_stream_done", true}})
	})
	return extension(sharedName, sharedMessage, object{
		{"domain", c.Limits.Redis.Prefix},
		{"timeout", duration(c.Limits.Redis.Timeout)},
		{"failure_mode_deny", c.Limits.OnFailure == config.Closed},
		{"status_on_error", object{{"code", 503}}},
		{"rate_limit_service", object{
			{"transport_api_version", "V3"},
			{"grpc_service", object{{"envoy_grpc", object{{"cluster_name", limitsCluster}}}, {"timeout", duration(c.Limits.Redis.Timeout)}}},
		}},
		{"enable_x_ratelimit_headers", "DRAFT_VERSION_03"},
		{"disable_x_envoy_ratelimited_header", true},
		{"rate_limits", requests},
	})
}

// eachShared goes through what is counted: the limits of all rules, and the ways to each.
func eachShared(c *config.Config, do func(of limitOf, w counted)) {
	rules := c.Limits.Rules.All()
	for i := range rules {
		for _, of := range limitsOf(&rules[i]) {
			for _, w := range waysOf(of.name, rules, i) {
				do(of, w)
			}
		}
	}
}

// Service is the configuration of the envoyproxy/ratelimit that counts what [Bootstrap] asks
// it. The error names the key that it cannot do.
func Service(c *config.Config) (Document, error) {
	if err := unkept(c); err != nil {
		return nil, err
	}
	if !areShared(c) || len(c.Limits.Rules.All()) == 0 {
		return nil, fmt.Errorf("limits.service: each Envoy counts for itself: a service counts limits.rules with limits.store %s", config.RedisLimits)
	}
	root := &entry{}
	eachShared(c, func(of limitOf, w counted) {
		at := root
		for _, e := range w.entries {
			at = at.below(e.(object)[0].value.(string), e.(object)[1].value)
		}
		at.limit = object{{"name", strings.ReplaceAll(of.name, "_", " ")}, {"unit", of.unit}, {"requests_per_unit", of.limit}}
	})
	return object{{"domain", c.Limits.Redis.Prefix}, {"descriptors", root.list()}}, nil
}

// entry is a descriptor of the service's: what it says of a request that is found below it.
type entry struct {
	key   string
	value any // nil: each is counted apart
	limit object
	then  []*entry
}

func (e *entry) below(key string, value any) *entry {
	for _, next := range e.then {
		if next.key == key && next.value == value {
			return next
		}
	}
	next := &entry{key: key, value: value}
	e.then = append(e.then, next)
	return next
}

func (e *entry) list() (all list) {
	for _, next := range e.then {
		one := object{{"key", next.key}, {"value", next.value}}
		if next.limit != nil {
			one = append(one, member{"rate_limit", next.limit})
		}
		if next.then != nil {
			one = append(one, member{"descriptors", next.list()})
		}
		all = append(all, one)
	}
	return all
}

// limitsClusters are where the service is.
func (r *renderer) limitsClusters() list {
	if !r.limited() || !areShared(r.c) {
		return nil
	}
	return list{r.sideCluster(limitsCluster, r.c.Limits.Service, true)}
}

// LimitsCluster is where the service is for an Envoy that somebody else configures; nil: none
// is asked.
func LimitsCluster(c *config.Config) ([]byte, error) {
	all := (&renderer{c: c, o: Options{Roots: systemRoots}}).limitsClusters()
	if all == nil {
		return nil, nil
	}
	return marshal(all[0])
}

// systemRoots are the authorities of the image that Istio's gateways have.
const systemRoots = "/etc/ssl/certs/ca-certificates.crt"
