package envoy

import "antwort/shared/config"

// tracing makes Envoy continue traces, or begin them, and send its spans where the
// configuration says: one for a request and one for each attempt at a backend. nil: it
// passes traceparent and tracestate as they come.
func (r *renderer) tracing() any {
	o := &r.c.Observability.OTLP
	if o.Endpoint == "" {
		return nil
	}
	exporter := member{"http_service", object{
		{"http_uri", object{{"uri", o.Endpoint + "/v1/traces"}, {"cluster", otlpCluster}, {"timeout", duration(o.Timeout)}}},
		{"request_headers_to_add", r.otlpFields(func(f config.Field) object {
			return object{{"header", object{{"key", f.Name}, {"value", f.Value}}}, {"append_action", "OVERWRITE_IF_EXISTS_OR_ADD"}}
		})},
	}}
	if o.Protocol == config.OTLPGRPC {
		exporter = member{"grpc_service", object{
			{"envoy_grpc", object{{"cluster_name", otlpCluster}}},
			{"timeout", duration(o.Timeout)},
			{"initial_metadata", r.otlpFields(func(f config.Field) object { return object{{"key", f.Name}, {"value", f.Value}} })},
		}}
	}
	return object{
		{"provider", extension("envoy.tracers.opentelemetry", "envoy.config.trace.v3.OpenTelemetryConfig", object{exporter, {"service_name", o.ServiceName}})},
		{"random_sampling", object{{"value", float64(r.c.Observability.Tracing.SampleRatio) / 1e4}}},
		{"client_sampling", object{{"value", 0}}}, // by a header of Envoy's own
		{"spawn_upstream_span", true},
	}
}

func (r *renderer) otlpFields(field func(config.Field) object) any {
	var all list
	for _, f := range r.c.Observability.OTLP.Fields() {
		all = append(all, field(f))
	}
	if all == nil {
		return nil
	}
	return all
}

// otlpClusters are where spans go.
func (r *renderer) otlpClusters() list {
	o := &r.c.Observability.OTLP
	if o.Endpoint == "" {
		return nil
	}
	return list{r.sideCluster(otlpCluster, o.Endpoint, o.Protocol == config.OTLPGRPC)}
}

// sideCluster is where somebody is whom Envoy itself asks; the URL has been parsed before.
func (r *renderer) sideCluster(name, at string, grpc bool) object {
	b, err := parseBackend(at)
	if err != nil {
		panic(err)
	}
	kind, lookup := any("STRICT_DNS"), any("V4_PREFERRED")
	if b.ip {
		kind, lookup = "STATIC", nil
	}
	cluster := object{
		{"name", name},
		{"type", kind},
		{"dns_lookup_family", lookup},
		{"connect_timeout", "5s"},
		{"wait_for_warm_on_init", false},
		{"load_assignment", assignment(name, b.socket())},
		{"transport_socket", r.transport(b)},
	}
	if grpc {
		cluster = append(cluster, member{"typed_extension_protocol_options", object{
			{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions", typed("envoy.extensions.upstreams.http.v3.HttpProtocolOptions", object{
				{"explicit_http_config", object{{"http2_protocol_options", object{}}}},
			})},
		}})
	}
	return cluster
}
