package envoy

// Listeners besides that of the API.

// adminListener is for those who run the gateway.
func (r *renderer) adminListener() object {
	routes := append(r.probes(), r.metrics()...)
	return object{
		{"name", "admin"},
		{"address", r.admins.socket()},
		{"bypass_overload_manager", true},
		{"filter_chains", list{object{{"filters", list{connectionManager(object{
			{"stat_prefix", "admin"},
			{"codec_type", "AUTO"},
			{"normalize_path", true},
			{"server_header_transformation", "PASS_THROUGH"},
			{"request_headers_timeout", duration(r.c.Server.ReadHeaderTimeout)},
			{"common_http_protocol_options", object{{"idle_timeout", duration(r.c.Server.IdleTimeout)}}},
			{"route_config", object{{"virtual_hosts", list{object{
				{"name", "admin"}, {"domains", list{"*"}}, {"routes", append(routes, unknownPath())},
			}}}}},
			{"http_filters", list{router()}},
		})}}}}},
	}
}

// upstreamListener passes what the parent process asks the backend, without
// the filter: it shows that Envoy itself reaches it.
func (r *renderer) upstreamListener() object {
	var routes list
	for i := range r.pools {
		p := &r.pools[i]
		match := object{{"prefix", "/"}}
		if !p.isDefault() {
			match = append(match, member{"headers", list{object{{"name", routeField}, {"string_match", object{{"exact", p.Name}}}}}})
		}
		routes = append(routes, object{{"match", match}, {"route", append(object{{"cluster", p.cluster}}, hostRewrite)}})
	}
	return object{
		{"name", "upstream"},
		{"address", socket(r.o.Supervised.Upstream)},
		{"bypass_overload_manager", true},
		{"filter_chains", list{object{{"filters", list{connectionManager(object{
			{"stat_prefix", "upstream"},
			{"codec_type", "HTTP1"},
			{"route_config", object{{"virtual_hosts", list{object{
				{"name", "upstream"}, {"domains", list{"*"}},
				{"request_headers_to_remove", list{routeField}},
				{"routes", routes},
			}}}}},
			{"http_filters", list{router()}},
		})}}}}},
	}
}
