package envoy

import (
	"net/netip"
	"slices"

	"antwort/shared/config"
	"antwort/shared/policy"
)

func (r *renderer) listeners() list {
	all := list{r.apiListener()}
	if r.separateAdmin() {
		all = append(all, r.adminListener())
	}
	if r.o.Supervised != nil {
		all = append(all, r.upstreamListener())
	}
	return all
}

// apiListener is where clients connect.
func (r *renderer) apiListener() object {
	var chains list
	if trusted := r.c.Server.TrustedProxies; len(trusted) > 0 {
		var from list
		for _, network := range trusted {
			from = append(from, cidr(network))
		}
		chains = append(chains, r.filterChain(object{{"source_prefix_ranges", from}}, r.connectionManager(true)))
	}
	var piece any
	if r.unpacks() {
		piece = Piece
	}
	return object{
		{"name", "api"},
		{"address", r.listen.socket()},
		{"per_connection_buffer_limit_bytes", piece},
		{"filter_chains", append(chains, r.filterChain(nil, r.connectionManager(false)))},
	}
}

// filterChain is for the connections that match; all with nil.
func (r *renderer) filterChain(match object, manager object) object {
	chain := object{}
	if match != nil {
		chain = append(chain, member{"filter_chain_match", match})
	}
	if r.c.Server.TLS.On() {
		chain = append(chain, member{"transport_socket", r.downstreamTLS()})
	}
	return append(chain, member{"filters", list{manager}})
}

// cidr is a network, or an address as one, as Envoy writes it.
func cidr(text string) object {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		at, _ := netip.ParseAddr(text) // the configuration has checked it
		prefix = netip.PrefixFrom(at, at.BitLen())
	}
	return object{{"address_prefix", prefix.Masked().Addr().String()}, {"prefix_len", prefix.Bits()}}
}

// connectionManager serves the API, to proxies whose X-Forwarded-… is believed
// or to anybody.
func (r *renderer) connectionManager(trusted bool) object {
	var hops any
	if trusted {
		hops = 1
	}
	s := r.c.Server
	fields := object{
		{"stat_prefix", "api"},
		{"codec_type", "AUTO"}, // HTTP/1.1, and HTTP/2 with prior knowledge
		// The client's address is its connection's, and nobody is internal:
		// headers that steer Envoy (x-envoy-…) are removed from all requests.
		// An empty list would mean the private networks.
		{"use_remote_address", true},
		{"xff_num_trusted_hops", hops},
		{"internal_address_config", object{{"cidr_ranges", list{object{{"address_prefix", "0.0.0.0"}, {"prefix_len", 32}}}}}},
		{"server_header_transformation", "PASS_THROUGH"},
		{"preserve_external_request_id", true},
		{"always_set_request_id_in_response", true},
		// Routes are matched on what the backend sees.
		{"normalize_path", true},
		{"merge_slashes", true},
		{"path_with_escaped_slashes_action", "REJECT_REQUEST"},
		{"max_request_headers_kb", min(8192, (s.MaxHeaderBytes+1023)/1024)},
		// Slow clients.
		{"request_headers_timeout", duration(s.ReadHeaderTimeout)},
		{"request_timeout", duration(s.ReadHeaderTimeout + s.ReadTimeout)},
		{"common_http_protocol_options", object{{"idle_timeout", duration(s.IdleTimeout)}}},
		{"stream_idle_timeout", duration(r.silence())},
		{"upgrade_configs", r.upgrades()},
		{"http2_protocol_options", object{
			{"max_concurrent_streams", 1024},
			{"initial_stream_window_size", 1 << 20},
			{"initial_connection_window_size", 1 << 20},
		}},
		{"early_header_mutation_extensions", list{r.notTheirs(trusted)}},
		{"access_log", r.accessLog()},
		{"tracing", r.tracing()},
		{"local_reply_config", r.localReplies()},
	}
	if r.o.Supervised != nil {
		fields = append(fields, member{"rds", object{{"route_config_name", "api"}, {"config_source", r.source(RoutesFile)}}})
	} else {
		fields = append(fields, member{"route_config", r.routes()})
	}
	return connectionManager(append(fields, member{"http_filters", r.filters()}))
}

// hasDelegates reports whether a gateway may say for whom it asks.
func (r *renderer) hasDelegates() bool {
	return slices.ContainsFunc(r.c.Auth.APIKeys, func(k config.APIKey) bool { return k.Delegate })
}

// notTheirs removes what clients are not to say: who they are, where they go and,
// unless they are trusted proxies, for whom they speak; and what ends at the next
// hop (RFC 9110 section 7.6.1; Envoy removes the other fields of the kind). It is
// done to all requests and before anything else, the log, the probes and refused
// requests included. What comes later is the filter's word, and Envoy's.
func (r *renderer) notTheirs(trusted bool) object {
	names := []string{routeField, affinityField, "proxy-authorization", "te"}
	if !r.hasDelegates() { // else the filter does, who believes some
		names = append([]string{policy.SubjectField, policy.TenantField}, names...)
	}
	// What steers Envoy, and what it says of itself to backends and to its like.
	removed := list{object{{"remove_on_match", object{{"key_matcher", object{{"prefix", "x-envoy-"}}}}}}}
	if !trusted {
		names = append(names, "forwarded", "x-real-ip")
		// X-Forwarded-User and its like too: they say who a proxy has let in.
		removed = append(removed, object{{"remove_on_match", object{{"key_matcher", object{{"prefix", "x-forwarded-"}}}}}})
	}
	for _, name := range names {
		removed = append(removed, object{{"remove", name}})
	}
	for _, name := range r.marks() {
		removed = append(removed, object{{"remove", name}})
	}
	return extension("envoy.http.early_header_mutation.header_mutation",
		"envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation", object{{"mutations", removed}})
}
