package render

import (
	"time"

	"antwort/shared/config"
)

// Names of clusters.
const (
	backendCluster = "backend"
	controlCluster = "control"
)

// upstreamIdle is how long an unused connection is kept: less than the 5 s
// after which uvicorn, and so vLLM, closes it, possibly under a request.
const upstreamIdle = 4 * time.Second

// maxConcurrent replaces Envoy's circuit breakers, which let 1,024 requests
// pass: a stream here is one request for minutes. What bounds the load are the
// limits of the configuration and the backend itself.
const maxConcurrent = 1 << 16

func (r *renderer) clusters() list {
	all := list{r.backendCluster()}
	if s := r.o.Supervised; s != nil {
		return append(all, staticCluster(controlCluster, s.Control))
	}
	return append(all, staticCluster(controlCluster, r.o.Admin))
}

func (r *renderer) backendCluster() object {
	b := r.backend
	kind, lookup := any("STRICT_DNS"), any("V4_PREFERRED")
	if b.ip {
		kind, lookup = "STATIC", nil
	}
	threshold := object{
		{"max_connections", maxConcurrent}, {"max_pending_requests", maxConcurrent},
		{"max_requests", maxConcurrent}, {"max_retries", maxConcurrent},
	}
	return object{
		{"name", backendCluster},
		{"type", kind},
		{"dns_lookup_family", lookup},
		{"connect_timeout", duration(r.c.Engine.ConnectTimeout)},
		// Listening does not wait for the backend's name: /readyz says that it
		// is missing.
		{"wait_for_warm_on_init", false},
		{"lb_policy", "LEAST_REQUEST"},
		{"load_assignment", assignment(backendCluster, b.socket())},
		{"transport_socket", r.transport()},
		{"typed_extension_protocol_options", object{
			{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions", typed("envoy.extensions.upstreams.http.v3.HttpProtocolOptions", object{
				{"common_http_protocol_options", object{{"idle_timeout", duration(upstreamIdle)}}},
				{"explicit_http_config", object{{"http_protocol_options", object{}}}},
			})},
		}},
		{"upstream_connection_options", object{{"tcp_keepalive", object{
			{"keepalive_time", 30}, {"keepalive_interval", 10}, {"keepalive_probes", 3},
		}}}},
		{"circuit_breakers", object{{"thresholds", list{threshold}}}},
		{"health_checks", list{r.healthCheck()}},
		// A host that left DNS is not used any more, healthy or not.
		{"ignore_health_on_host_removal", true},
		// Health is for choosing among several hosts. When all seem ill, the
		// request is tried all the same.
		{"common_lb_config", object{{"healthy_panic_threshold", object{{"value", 1}}}}},
		{"outlier_detection", outlierDetection()},
	}
}

// healthCheck asks for a path that costs the backend nothing. Any answer but a
// failure of its own (5xx) is good: not every server has the path, and keys are
// not for health checks.
func (r *renderer) healthCheck() object {
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
		{"http_health_check", object{
			{"host", r.backend.authority},
			{"path", r.backend.base + path},
			{"expected_statuses", list{object{{"start", 200}, {"end", 500}}}},
		}},
	}
}

// outlierDetection takes a host out after failures to connect only: a model's
// 5xx says nothing about its host.
func outlierDetection() object {
	return object{
		{"split_external_local_origin_errors", true},
		{"consecutive_local_origin_failure", 5},
		{"enforcing_consecutive_5xx", 0},
		{"enforcing_consecutive_gateway_failure", 0},
		{"enforcing_success_rate", 0},
		{"enforcing_local_origin_success_rate", 0},
		{"interval", "2s"},
		{"base_ejection_time", "5s"},
		{"max_ejection_percent", 50},
	}
}

// transport is TLS with the host's name checked, or nothing.
func (r *renderer) transport() any {
	b := r.backend
	if !b.tls {
		return nil
	}
	kind, name := "DNS", any(b.host)
	if b.ip {
		kind, name = "IP_ADDRESS", nil // RFC 6066 section 3: addresses are no server names
	}
	return extension("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", object{
		{"sni", name},
		{"common_tls_context", object{
			{"tls_params", object{{"tls_minimum_protocol_version", "TLSv1_2"}}},
			{"alpn_protocols", list{"http/1.1"}},
			{"validation_context", object{
				{"trusted_ca", object{{"filename", r.o.Roots}}},
				{"match_typed_subject_alt_names", list{object{
					{"san_type", kind}, {"matcher", object{{"exact", b.host}}},
				}}},
			}},
		}},
	})
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
