package envoy

import (
	"time"

	"antwort/shared/config"
)

// upstreamIdle is how long an unused connection is kept: less than the 5 s
// after which uvicorn, and so vLLM, closes it, possibly under a request.
const upstreamIdle = 4 * time.Second

func (r *renderer) clusters() list {
	var all list
	for _, pools := range [][]pool{r.pools, r.leaving, r.replaced} {
		for i := range pools {
			all = append(all, r.poolCluster(&pools[i]))
		}
	}
	if r.byToken() && r.c.Auth.JWT.JWKSURL != "" {
		all = append(all, r.keysCluster())
	}
	all = append(all, r.otlpClusters()...)
	all = append(all, r.limitsClusters()...)
	if s := r.o.Supervised; s != nil {
		return append(all, staticCluster(controlCluster, s.Control))
	}
	return append(all, staticCluster(controlCluster, r.o.Admin))
}

// Piece is how much is read of an answer before the filter gets it, in bytes, and of a request
// where filters unpack it: of Envoy's own limit, 1 MiB, they make 100 in one turn of the worker.
const Piece = 64 << 10

func (r *renderer) poolCluster(p *pool) object {
	kind, lookup := any("STATIC"), any(nil)
	for _, b := range p.backends {
		if !b.ip {
			kind, lookup = "STRICT_DNS", "V4_PREFERRED"
		}
	}
	statName := any(nil)
	if p.statName != "" {
		statName = p.statName
	}
	cluster := object{
		{"name", p.cluster},
		{"alt_stat_name", statName},
		{"type", kind},
		{"dns_lookup_family", lookup},
		{"connect_timeout", duration(p.Backends[0].ConnectTimeout)},
		// The filter gets as much of an answer at a time, and holds the worker up as
		// long as that takes it.
		{"per_connection_buffer_limit_bytes", Piece},
		// Listening does not wait for the backend's name: /readyz says that it
		// is missing.
		{"wait_for_warm_on_init", false},
	}
	cluster = append(cluster, p.balancing()...)
	cluster = append(cluster, member{"load_assignment", p.assignment()})
	cluster = append(cluster, r.transports(p)...)
	return append(cluster, object{
		{"typed_extension_protocol_options", object{
			{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions", typed("envoy.extensions.upstreams.http.v3.HttpProtocolOptions", object{
				{"common_http_protocol_options", object{{"idle_timeout", duration(upstreamIdle)}}},
				p.backends[0].protocol(),
			})},
		}},
		{"upstream_connection_options", object{{"tcp_keepalive", object{
			{"keepalive_time", 30}, {"keepalive_interval", 10}, {"keepalive_probes", 3},
		}}}},
		{"circuit_breakers", object{{"thresholds", list{p.breaker()}}}},
		{"health_checks", list{r.healthCheck(p)}},
		// A host that left DNS is not used any more, healthy or not.
		{"ignore_health_on_host_removal", true},
		{"common_lb_config", p.panic()},
		{"outlier_detection", r.outlierDetection(p)},
	}...)
}

// balancing is how one of the backends is chosen.
func (p *pool) balancing() object {
	if p.Balance == config.Affinity {
		// Of Envoy's two ways of hashing this is the one in which nearly only the
		// conversations of a backend that is gone move.
		return object{{"lb_policy", "MAGLEV"}}
	}
	policy := object{{"lb_policy", "LEAST_REQUEST"}}
	if !p.unweighted() {
		// With a bias, weights hold while there is no load only.
		policy = append(policy, member{"least_request_lb_config", object{
			{"active_request_bias", object{{"default_value", 0}, {"runtime_key", "antwort.active_request_bias"}}},
		}})
	}
	return policy
}

// panic is for when backends seem ill: health is for choosing among several.
// When all seem ill, the request is tried all the same.
func (p *pool) panic() object {
	common := object{{"healthy_panic_threshold", object{{"value", 1}}}}
	if p.Balance == config.Affinity {
		common = append(common, member{"consistent_hashing_lb_config", object{{"hash_balance_factor", p.MaxLoad}}})
	}
	return common
}

// assignment are the backends with their weights, by priority.
func (p *pool) assignment() object {
	var groups list
	for priority, places := range p.priorities() {
		var endpoints list
		for _, i := range places {
			b := &p.backends[i]
			endpoint := object{{"address", b.socket()}, {"hostname", b.authority}, {"health_check_config", object{{"hostname", b.authority}}}}
			of := object{{"endpoint", endpoint}, {"load_balancing_weight", p.Backends[i].Weight}}
			if b.tls && p.several() {
				of = append(of, member{"metadata", object{{"filter_metadata", object{{"envoy.transport_socket_match", object{{"backend", b.authority}}}}}}})
			}
			endpoints = append(endpoints, of)
		}
		groups = append(groups, object{{"priority", priority}, {"lb_endpoints", endpoints}})
	}
	return object{{"cluster_name", p.cluster}, {"endpoints", groups}}
}

// transports are TLS for the backends whose URL is https.
func (r *renderer) transports(p *pool) object {
	if !p.several() {
		return object{{"transport_socket", r.transport(p.backends[0])}}
	}
	var matches list
	for _, b := range p.backends {
		if b.tls {
			matches = append(matches, object{{"name", b.authority}, {"match", object{{"backend", b.authority}}}, {"transport_socket", r.transport(b)}})
		}
	}
	if matches == nil {
		return nil
	}
	return object{{"transport_socket_matches", matches}}
}

// healthCheck asks for a path that costs the backend nothing. Any answer but a
// failure of its own (5xx) is good: not every server has the path, and keys are
// not for health checks.
func (r *renderer) healthCheck(p *pool) object {
	path := "/health"
	if r.c.Engine.Provider == config.VLLMResponses {
		path = "/healthz"
	}
	return object{
		{"timeout", "5s"},
		{"interval", "10s"},
		{"interval_jitter", "1s"},
		{"unhealthy_interval", "2s"},
		{"no_traffic_interval", "10s"},
		{"unhealthy_threshold", 3},
		{"healthy_threshold", 1},
		p.backends[0].healthALPN(),
		{"http_health_check", object{
			{"host", p.backends[0].authority},
			{"path", p.backends[0].base + path},
			{"expected_statuses", list{object{{"start", 200}, {"end", 500}}}},
			p.backends[0].healthCodec(),
		}},
	}
}

// outlierDetection takes a host out after failures to reach it only: a model's
// 5xx says nothing about its host. When its time is over it is tried again.
func (r *renderer) outlierDetection(p *pool) object {
	most := 50
	if !p.isDefault() {
		most = 100
	}
	routing := r.c.Routing
	return object{
		{"split_external_local_origin_errors", true},
		{"consecutive_local_origin_failure", routing.EjectAfter},
		{"enforcing_consecutive_5xx", 0},
		{"enforcing_consecutive_gateway_failure", 0},
		{"enforcing_success_rate", 0},
		{"enforcing_local_origin_success_rate", 0},
		{"interval", duration(min(2*time.Second, routing.EjectTime))},
		{"base_ejection_time", duration(routing.EjectTime)},
		{"max_ejection_time", duration(routing.MaxEjectTime)},
		{"max_ejection_percent", most},
	}
}

// staticCluster is one local endpoint.
func staticCluster(name, at string) object {
	return object{
		{"name", name},
		{"type", "STATIC"},
		{"connect_timeout", "1s"},
		{"load_assignment", assignment(name, socket(at))},
	}
}

func assignment(cluster string, at object) object {
	if pipe, ok := at[0].value.(object); ok && at[0].name == "pipe" {
		at = object{{"pipe", pipe[:1]}} // the mode is the listener's
	}
	endpoint := object{{"endpoint", object{{"address", at}}}}
	return object{
		{"cluster_name", cluster},
		{"endpoints", list{object{{"lb_endpoints", list{endpoint}}}}},
	}
}

// keysCluster is where the issuer's keys are.
func (r *renderer) keysCluster() object {
	b, err := parseBackend(r.c.Auth.JWT.JWKSURL)
	if err != nil {
		panic(err) // newRenderer has parsed it
	}
	kind, lookup := any("STRICT_DNS"), any("V4_PREFERRED")
	if b.ip {
		kind, lookup = "STATIC", nil
	}
	return object{
		{"name", jwksCluster},
		{"type", kind},
		{"dns_lookup_family", lookup},
		{"connect_timeout", "5s"},
		{"wait_for_warm_on_init", false},
		{"load_assignment", assignment(jwksCluster, b.socket())},
		{"transport_socket", r.transport(b)},
	}
}
