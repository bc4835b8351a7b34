package server

import (
	"net/http"
	"strings"

	"antwort/shared/config"
	"antwort/shared/responses"
)

// route is one kind of request.
type route struct {
	name   string // pattern, as it stands in logs and metrics
	allow  string // methods, as in the Allow header
	quiet  bool   // logged at debug level only
	open   bool   // needs no credential
	handle func(*exchange)
}

func (rt *route) allows(method string) bool {
	for m := range strings.SplitSeq(rt.allow, ", ") {
		if m == method {
			return true
		}
	}
	return false
}

type routes struct {
	responses, compact, response, cancel, inputItems, models, model *route
	health, ready, metrics                                          *route
	metricsPath                                                     string
	unknown                                                         *route
}

func (s *Server) newRoutes() routes {
	create, stored, models, model := (*exchange).translate, (*exchange).notStored, (*exchange).listModels, (*exchange).showModel
	if s.cfg.Engine.Provider == config.VLLMResponses {
		create, stored, models, model = (*exchange).forward, (*exchange).forward, (*exchange).forward, (*exchange).forward
	}
	rs := routes{
		responses:  &route{name: "/v1/responses", allow: "POST", handle: create},
		compact:    &route{name: "/v1/responses/compact", allow: "POST", handle: stored},
		response:   &route{name: "/v1/responses/{id}", allow: "GET, DELETE", handle: stored},
		cancel:     &route{name: "/v1/responses/{id}/cancel", allow: "POST", handle: stored},
		inputItems: &route{name: "/v1/responses/{id}/input_items", allow: "GET", handle: stored},
		models:     &route{name: "/v1/models", allow: "GET, HEAD", handle: models},
		model:      &route{name: "/v1/models/{id}", allow: "GET, HEAD", handle: model},
		health:     &route{name: "/healthz", allow: "GET, HEAD", quiet: true, open: true, handle: (*exchange).health},
		ready:      &route{name: "/readyz", allow: "GET, HEAD", quiet: true, open: true, handle: (*exchange).readiness},
		unknown:    &route{name: "unknown", handle: (*exchange).unknownPath},
	}
	if m := s.cfg.Observability.Metrics; m.Enabled {
		rs.metrics = &route{name: m.Path, allow: "GET, HEAD", quiet: true, open: true, handle: (*exchange).scrape}
		rs.metricsPath = m.Path
	}
	return rs
}

// find returns the route of a path, which is still escaped.
func (rs *routes) find(path string) *route {
	rest, ok := strings.CutPrefix(path, "/v1/")
	if !ok {
		switch {
		case path == "/healthz":
			return rs.health
		case path == "/readyz":
			return rs.ready
		case rs.metrics != nil && path == rs.metricsPath:
			return rs.metrics
		}
		return rs.unknown
	}
	if rest == "responses" {
		return rs.responses
	}
	if rest == "models" {
		return rs.models
	}
	if id, ok := strings.CutPrefix(rest, "models/"); ok && isModelPath(id) {
		return rs.model
	}
	rest, ok = strings.CutPrefix(rest, "responses/")
	if !ok {
		return rs.unknown
	}
	id, action, deeper := strings.Cut(rest, "/")
	switch {
	case rest == "compact":
		return rs.compact
	case !isID(id):
		return rs.unknown
	case !deeper:
		return rs.response
	case action == "cancel":
		return rs.cancel
	case action == "input_items":
		return rs.inputItems
	}
	return rs.unknown
}

// isID reports whether s can be the id of a response: it goes into the
// upstream's path as it is.
func isID(s string) bool {
	if s == "" || len(s) > 256 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// isModelPath reports whether s can name a model: names with slashes are
// common, steps up the path are not.
func isModelPath(s string) bool {
	if s == "" || len(s) > 512 {
		return false
	}
	for step := range strings.SplitSeq(strings.ReplaceAll(strings.ToLower(s), "%2f", "/"), "/") {
		if step = strings.ReplaceAll(step, "%2e", "."); step == "." || step == ".." {
			return false
		}
	}
	return true
}

func (x *exchange) unknownPath() {
	x.fail("unknown_path", nil, responses.NewError(http.StatusNotFound, "unknown_url",
		"unknown path: "+clip(x.r.URL.EscapedPath(), 256)+" (this server has /v1/responses and /v1/models)"))
}

func (x *exchange) wrongMethod() {
	x.header().Set("Allow", x.route.allow)
	x.fail("wrong_method", nil, responses.NewError(http.StatusMethodNotAllowed, "method_not_allowed",
		clip(x.r.Method, 32)+" is not allowed for "+x.route.name+": use "+x.route.allow))
}

func (x *exchange) notStored() {
	message := "responses are not stored by this server, so there is none to look up: send the whole conversation as input"
	code := "response_not_found"
	if x.route == x.s.routes.compact {
		message, code = "this server cannot compact conversations", "unsupported_endpoint"
	}
	x.fail("not_stored", nil, responses.NewError(http.StatusNotFound, code, message))
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
