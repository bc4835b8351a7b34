package envoy

import (
	"antwort/shared/config"
	"antwort/shared/policy"
)

// filters are those of the API in the order of a request's way.
func (r *renderer) filters() list {
	var all list
	if r.forPages() {
		all = append(all, extension(corsName, "envoy.extensions.filters.http.cors.v3.Cors", nil))
	}
	if r.byToken() {
		all = append(all, r.tokensFilter())
	}
	if own := FilterPaths(r.c); own != nil {
		all = append(all, onlyForFilter(own))
	}
	if r.unpacks() {
		for _, coding := range codings {
			all = append(all, decompressor(coding))
		}
	}
	if r.o.Supervised != nil {
		all = append(all, r.discovered(pluginName, PluginFile, "envoy.extensions.filters.http.wasm.v3.Wasm"))
	} else {
		all = append(all, r.plugin())
	}
	all = append(all, r.limitsFilters()...)
	return append(all, router())
}

// FilterPaths are the paths of a backend that only the filter may ask, for what it makes
// of the requests of the Responses API: those that engine.pass does not name.
func FilterPaths(c *config.Config) (own []string) {
	passed := policy.NewPassed(c.Engine.Pass)
	for _, path := range [...]string{chatPath, tokenizePath} {
		if passed.Find(path) == nil {
			own = append(own, path)
		}
	}
	return own
}

// onlyForFilter keeps clients off these paths. This filter sees the path before it is
// changed. With each provider it is there: a connection keeps the filters that it began
// with when the provider changes, and gets the new routes.
func onlyForFilter(paths []string) object {
	permissions := list{}
	for _, path := range paths {
		permissions = append(permissions, object{{"url_path", object{{"path", object{{"exact", path}}}}}})
	}
	return extension("envoy.filters.http.rbac", "envoy.extensions.filters.http.rbac.v3.RBAC", object{
		{"rules", object{
			{"action", "DENY"},
			{"policies", object{{"chat", object{
				{"permissions", permissions},
				{"principals", list{object{{"any", true}}}},
			}}}},
		}},
	})
}

// filtersOfRoutes are what the routes say of filters. A connection keeps the filters that
// it began with when the provider changes, and gets the new routes: so with each provider
// it has what unpacks requests, and the routes of one that forwards turn it off.
func (r *renderer) filtersOfRoutes() (all object) {
	if r.forPages() {
		all = append(all, member{corsName, r.corsPolicy()})
	}
	if r.o.Supervised != nil && !r.translates() {
		for _, coding := range codings {
			all = append(all, member{decompressorName(coding), filterOff()})
		}
	}
	return all
}

func filterOff() object {
	return typed("envoy.config.route.v3.FilterConfig", object{{"disabled", true}})
}

// unpacks reports whether there are filters that unpack requests.
func (r *renderer) unpacks() bool { return r.c.Engine.Provider == config.VLLM || r.o.Supervised != nil }

// codings are those of bodies that Envoy unpacks for the filter.
var codings = [...]string{"gzip", "zstd"}

func decompressorName(coding string) string { return "envoy.filters.http.decompressor." + coding }

// decompressor unpacks requests, which the filter reads. Answers stay as they are, and so do
// requests with several codings, which the filter refuses: each makes a hundred times as much of
// a body.
func decompressor(name string) object {
	library := extension(name, "envoy.extensions.compression."+name+".decompressor.v3."+map[string]string{"gzip": "Gzip", "zstd": "Zstd"}[name], nil)
	off := object{{"default_value", false}, {"runtime_key", "antwort.decompress_answers"}}
	unpacking := extension("decompressor", "envoy.extensions.filters.http.decompressor.v3.Decompressor", object{
		{"decompressor_library", library},
		{"response_direction_config", object{{"common_config", object{{"enabled", off}}}}},
	})
	coding := extension("coding", "envoy.type.matcher.v3.HttpRequestHeaderMatchInput", object{{"header_name", "content-encoding"}})
	several := object{{"single_predicate", object{{"input", coding}, {"value_match", object{{"contains", ","}}}}}}
	skipped := object{{"action", extension("skip", "envoy.extensions.filters.common.matcher.action.v3.SkipFilter", nil)}}
	return extension(decompressorName(name), "envoy.extensions.common.matching.v3.ExtensionWithMatcher", object{
		{"extension_config", unpacking},
		{"xds_matcher", object{{"matcher_list", object{{"matchers", list{object{{"predicate", several}, {"on_match", skipped}}}}}}}},
	})
}

func router() object {
	return extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router", object{{"suppress_envoy_headers", true}})
}

// connectionManager is the network filter that speaks HTTP with clients.
func connectionManager(fields object) object {
	return extension("envoy.filters.network.http_connection_manager",
		"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", fields)
}
