package envoy

import (
	"net/http"
	"slices"
	"time"

	"antwort/shared/config"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// routes are the public paths. Everything else is answered 404.
func (r *renderer) routes() object {
	host := object{
		{"name", "api"},
		{"domains", list{"*"}},
		{"request_headers_to_remove", append(list{"x-envoy-external-address", routeField}, r.marks()...)},
		{"response_headers_to_remove", append(list{"server"}, r.levels()...)},
		{"retry_policy", r.retries(nil)},
		{"request_body_buffer_limit", r.kept()},
	}
	if filters := r.filtersOfRoutes(); filters != nil {
		host = append(host, member{"typed_per_filter_config", filters})
	}
	unnamed := r.probes()
	if !r.separateAdmin() {
		unnamed = append(unnamed, r.metrics()...)
	}
	var named object
	for _, pools := range [][]pool{r.pools, r.leaving} {
		for i := range pools {
			if p := &pools[i]; p.isDefault() {
				unnamed = append(unnamed, r.ways(p)...)
			} else {
				named = append(named, member{p.Name, take(append(r.ways(p), unknownPath()))})
			}
		}
	}
	unnamed = append(unnamed, unknownPath())
	if named == nil {
		host = append(host, member{"routes", unnamed})
	} else {
		// By the name that the filter gives, however many there are.
		host = append(host, member{"matcher", object{
			{"matcher_tree", object{
				{"input", extension("route", "envoy.type.matcher.v3.HttpRequestHeaderMatchInput", object{{"header_name", routeField}})},
				{"exact_match_map", object{{"map", named}}},
			}},
			{"on_no_match", take(unnamed)},
		}})
	}
	return object{{"name", "api"}, {"virtual_hosts", list{host}}}
}

// kept is how much of a request is kept until its answer begins, in bytes, when it may have to
// be sent again. Envoy keeps what it reads at a time by itself, and does not send again what
// is longer.
func (r *renderer) kept() any {
	switch {
	case slices.ContainsFunc(r.pools, func(p pool) bool { return p.several() }):
		return r.c.Limits.RequestBodyBytes + spare
	case r.o.Supervised != nil && r.o.Supervised.Keeps:
		return 1 << 20
	}
	return nil
}

// spare is what a request may have more than its client has sent, once it is translated.
const spare = 1 << 20

// take is the action of a matcher that goes on with these routes.
func take(routes list) object {
	return object{{"action", extension("routes", "envoy.config.route.v3.RouteList", object{{"routes", routes}})}}
}

// ways lead to the backends of a pool, by the paths of the API.
func (r *renderer) ways(p *pool) list {
	forwards, translates := p, p
	switch {
	case p.before == nil:
	case r.c.Engine.Provider == config.VLLM:
		forwards = p.before
	default:
		translates = p.before
	}
	var all list
	if r.speaksWebSocket() {
		all = append(all, r.socketWay(p))
	}
	all = append(all,
		r.way(forwards, responsesPath, "path", responsesPath),
		r.way(forwards, responsesPath+"/…", "prefix", responsesPath+"/"),
		r.way(forwards, conversations, "path", conversations),
		r.way(forwards, conversations+"/…", "prefix", conversations+"/"),
		r.way(p, modelsPath, "path", modelsPath),
		r.way(p, modelsPath+"/…", "prefix", modelsPath+"/"),
	)
	if r.translates() {
		all = append(all, r.way(translates, responsesPath, "path", chatPath)) // what the filter makes of it
		if r.c.Engine.CountTokens == config.Tokenize {
			all = append(all, r.way(translates, policy.InputTokens.Name, "path", tokenizePath))
		}
	}
	for _, passed := range policy.PassedPaths(r.c.Engine.Pass) {
		kind := "path"
		if passed.Below {
			kind = "prefix"
		}
		way := r.way(p, passed.Endpoint, kind, passed.Path)
		if r.limited() {
			way = append(way, r.inPieces())
		}
		all = append(all, way)
	}
	return all
}

// way is one of them; its name is for the log.
func (r *renderer) way(p *pool, name, kind, path string) object {
	return r.wayOf(p, name, object{{kind, path}}, path, p.silence(), r.noUpgrade())
}

// hostRewrite gives a backend its own name as Host field, which its cluster says: a route
// that said it would not change with the cluster.
var hostRewrite = member{"auto_host_rewrite", true}

// wayOf is the way of the requests that match. There is no time limit: a stream may be as
// long as it likes, and idle_timeout ends silence.
func (r *renderer) wayOf(p *pool, name string, match object, path string, silence time.Duration, upgrades any) object {
	if p.closed {
		return refusal(name, match, unavailable())
	}
	action := object{
		{"cluster", p.cluster},
		{"timeout", "0s"},
		hostRewrite,
		{"upgrade_configs", upgrades},
	}
	if base := p.backends[0].base; base != "" {
		action = append(action, member{"prefix_rewrite", base + path})
	}
	if silence != r.silence() {
		action = append(action, member{"idle_timeout", duration(silence)})
	}
	if p.Balance == config.Affinity {
		action = append(action, member{"hash_policy", list{object{{"header", object{{"header_name", affinityField}}}}}})
	}
	if p.several() {
		action = append(action, member{"retry_policy", r.retries(p)})
	}
	return object{{"name", name}, {"match", match}, {"route", action}}
}

// failoverDelay is the least wait before another backend is tried. Envoy knows
// none without, and one wait for all reasons.
const failoverDelay = 10 * time.Millisecond

// retries are Envoy's own, before the first byte of an answer. A request whose
// body exceeds Envoy's buffer is sent once. p is nil for one backend.
func (r *renderer) retries(p *pool) any {
	retry := r.c.Engine.Retry
	if retry.MaxAttempts == 1 {
		return nil
	}
	translates, attempts := r.c.Engine.Provider == config.VLLM, retry.MaxAttempts
	reasons, delay := "connect-failure,refused-stream,reset-before-request", retry.BaseDelay
	if p != nil {
		delay = min(delay, failoverDelay)
		if translates {
			reasons += ",reset" // a completion changes nothing; of other requests the filter knows
		} else {
			attempts = min(attempts, len(p.backends)) // the tier behind tries its own again
		}
	}
	if translates {
		reasons += ",retriable-status-codes"
	}
	rules := object{
		{"retry_on", reasons},
		{"num_retries", attempts - 1},
		{"retry_back_off", object{{"base_interval", duration(delay)}, {"max_interval", duration(retry.MaxDelay)}}},
		{"retry_host_predicate", list{extension("envoy.retry_host_predicates.previous_hosts",
			"envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate", nil)}},
		// One that is gone has no requests in flight: the least loaded one.
		{"host_selection_retry_max_attempts", 32},
	}
	if p != nil {
		if by := p.priorities(); len(by) > 1 {
			rules = append(rules, member{"retry_priority", extension("envoy.retry_priorities.previous_priorities",
				"envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
				object{{"update_frequency", max(1, min(len(by[0]), attempts-1))}})})
		}
	}
	if translates || p != nil {
		again := list{http.StatusTooManyRequests, http.StatusServiceUnavailable}
		if p != nil { // a gateway says that the one behind it broke off
			again = append(again, http.StatusBadGateway)
		}
		rules = append(rules, member{"retriable_status_codes", again})
	}
	if translates && p == nil { // of several another one is asked, which has not said when
		rules = append(rules, member{"rate_limited_retry_back_off", object{
			{"reset_headers", list{object{{"name", "retry-after"}, {"format", "SECONDS"}}}},
			{"max_interval", duration(retry.MaxDelay)},
		}})
	}
	return rules
}

// probes say whether the gateway lives, and whether it is ready.
func (r *renderer) probes() list {
	return list{r.probe("/healthz", ""), r.probe("/health", ""), r.probe("/readyz", "/ready")}
}

// probe is a path that the parent process answers; without one, Envoy's admin
// interface does, at the path inside, or everybody is told that all is well. Nobody is asked
// who it is.
func (r *renderer) probe(path, inside string) object {
	name := member{"name", probeRoute}
	match := member{"match", object{{"path", path}}}
	filters := object{{pluginName, filterOff()}}
	if r.byToken() {
		filters = append(filters, member{tokensName, filterOff()})
	}
	without := member{"typed_per_filter_config", filters}
	if r.o.Supervised != nil {
		return object{name, match, {"route", object{{"cluster", controlCluster}, {"upgrade_configs", r.noUpgrade()}}}, without}
	}
	if inside == "" {
		ok := object{{"status", http.StatusOK}, {"body", object{{"inline_string", "ok\n"}}}}
		return object{name, match, {"direct_response", ok}, without}
	}
	return object{name, match, {"route", object{{"cluster", controlCluster}, {"prefix_rewrite", inside}, {"upgrade_configs", r.noUpgrade()}}}, without}
}

// metrics are there when they are enabled.
func (r *renderer) metrics() list {
	m := r.c.Observability.Metrics
	if !m.Enabled {
		return nil
	}
	return list{r.probe(m.Path, "/stats/prometheus?usedonly")}
}

func unknownPath() object {
	return refusal("unknown", object{{"prefix", "/"}}, unknownURL())
}

// refusal is a route that reaches nobody.
func refusal(name string, match object, e *responses.Error) object {
	header := list{setHeader("content-type", "application/json")}
	if e.RetryAfter != "" {
		header = append(header, setHeader("retry-after", e.RetryAfter))
	}
	return object{
		{"name", name},
		{"match", match},
		{"direct_response", object{{"status", e.Status}, {"body", object{{"inline_string", string(e.AppendBody(nil))}}}}},
		{"response_headers_to_add", header},
	}
}
