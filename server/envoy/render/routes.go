package render

import (
	"net/http"

	"antwort/shared/config"
)

// probeRoute is the name of the routes whose requests are not logged.
const probeRoute = "probe"

// Paths of the API.
const (
	responsesPath = "/v1/responses"
	modelsPath    = "/v1/models"
	chatPath      = "/v1/chat/completions"
)

// routes are the public paths. Everything else is answered 404.
func (r *renderer) routes() object {
	all := list{
		r.probe("/healthz", "/healthz"),
		r.probe("/readyz", "/ready"),
	}
	if m := r.c.Observability.Metrics; m.Enabled {
		all = append(all, r.probe(m.Path, "/stats/prometheus?usedonly"))
	}
	all = append(all,
		r.route(responsesPath, "path", responsesPath),
		r.route(responsesPath+"/…", "prefix", responsesPath+"/"),
		r.route(modelsPath, "path", modelsPath),
		r.route(modelsPath+"/…", "prefix", modelsPath+"/"))
	if r.c.Engine.Provider == config.VLLM {
		all = append(all, r.route(responsesPath, "path", chatPath)) // what the filter makes of it
	}
	return object{
		{"name", "api"},
		{"virtual_hosts", list{object{
			{"name", "api"},
			{"domains", list{"*"}},
			{"request_headers_to_remove", list{"x-envoy-external-address"}},
			{"response_headers_to_remove", list{"server"}},
			{"retry_policy", r.retries()},
			{"routes", append(all, unknownPath())},
		}}},
	}
}

// route leads to the backend; its name is for the log. It has no time limit: a stream may be as long as
// it likes, and stream_idle_timeout ends silence.
func (r *renderer) route(name, kind, path string) object {
	action := object{
		{"cluster", backendCluster},
		{"timeout", "0s"},
		{"host_rewrite_literal", r.backend.authority},
	}
	if r.backend.base != "" {
		action = append(action, member{"prefix_rewrite", r.backend.base + path})
	}
	return object{{"name", name}, {"match", object{{kind, path}}}, {"route", action}}
}

// retries are Envoy's own, before the first byte of an answer. A request whose
// body exceeds Envoy's buffer is sent once.
func (r *renderer) retries() any {
	retry := r.c.Engine.Retry
	if retry.MaxAttempts == 1 {
		return nil
	}
	policy := object{
		{"retry_on", "connect-failure,refused-stream,reset-before-request"},
		{"num_retries", retry.MaxAttempts - 1},
		{"retry_back_off", object{{"base_interval", duration(retry.BaseDelay)}, {"max_interval", duration(retry.MaxDelay)}}},
		{"retry_host_predicate", list{extension("envoy.retry_host_predicates.previous_hosts",
			"envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate", nil)}},
		{"host_selection_retry_max_attempts", 3},
	}
	if r.c.Engine.Provider == config.VLLM {
		policy[0].value = policy[0].value.(string) + ",retriable-status-codes"
		policy = append(policy,
			member{"retriable_status_codes", list{http.StatusTooManyRequests, http.StatusServiceUnavailable}},
			member{"rate_limited_retry_back_off", object{
				{"reset_headers", list{object{{"name", "retry-after"}, {"format", "SECONDS"}}}},
				{"max_interval", duration(retry.MaxDelay)},
			}})
	}
	return policy
}

// probe is a path that the parent process answers; without one, Envoy's admin
// interface does, at the path inside. The filter has no part in it.
func (r *renderer) probe(path, inside string) object {
	name := member{"name", probeRoute}
	match := member{"match", object{{"path", path}}}
	without := member{"typed_per_filter_config", object{{pluginName, typed("envoy.config.route.v3.FilterConfig", object{{"disabled", true}})}}}
	if r.o.Supervised != nil {
		return object{name, match, {"route", object{{"cluster", controlCluster}}}, without}
	}
	if path == inside {
		ok := object{{"status", http.StatusOK}, {"body", object{{"inline_string", "ok\n"}}}}
		return object{name, match, {"direct_response", ok}, without}
	}
	return object{name, match, {"route", object{{"cluster", controlCluster}, {"prefix_rewrite", inside}}}, without}
}

func unknownPath() object {
	e := unknownURL()
	return object{
		{"name", "unknown"},
		{"match", object{{"prefix", "/"}}},
		{"direct_response", object{{"status", e.Status}, {"body", object{{"inline_string", string(e.AppendBody(nil))}}}}},
		{"response_headers_to_add", list{setHeader("content-type", "application/json")}},
	}
}
