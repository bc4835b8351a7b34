package server

import (
	"antwort/shared/policy"
)

// route is one kind of request.
type route struct {
	*policy.Route
	quiet  bool // logged at debug level only
	open   bool // needs no credential
	handle func(*exchange)
}

type routes struct {
	responses, compact, response, cancel, inputItems, models, model *route
	health, ready, metrics                                          *route
	metricsPath                                                     string
	unknown                                                         *route
}

func (s *Server) newRoutes() routes {
	rs := routes{
		responses:  &route{Route: policy.Create, handle: (*exchange).create},
		compact:    &route{Route: policy.Compact, handle: (*exchange).compact},
		response:   &route{Route: policy.Stored, handle: (*exchange).stored},
		cancel:     &route{Route: policy.Cancel, handle: (*exchange).stored},
		inputItems: &route{Route: policy.InputItems, handle: (*exchange).stored},
		models:     &route{Route: policy.Models, handle: (*exchange).listModels},
		model:      &route{Route: policy.Model, handle: (*exchange).showModel},
		health:     &route{Route: &policy.Route{Name: "/healthz", Allow: "GET, HEAD"}, quiet: true, open: true, handle: (*exchange).health},
		ready:      &route{Route: &policy.Route{Name: "/readyz", Allow: "GET, HEAD"}, quiet: true, open: true, handle: (*exchange).ready},
		unknown:    &route{Route: &policy.Route{Name: "unknown"}, handle: (*exchange).unknownPath},
	}
	if m := s.cfg.Observability.Metrics; m.Enabled && !s.hasAdmin {
		rs.metrics = &route{Route: &policy.Route{Name: m.Path, Allow: "GET, HEAD"}, quiet: true, open: true, handle: (*exchange).scrape}
		rs.metricsPath = m.Path
	}
	return rs
}

// find returns the route of a path, which is still escaped.
func (rs *routes) find(path string) *route {
	switch {
	case path == "/healthz":
		return rs.health
	case path == "/readyz":
		return rs.ready
	case rs.metrics != nil && path == rs.metricsPath:
		return rs.metrics
	}
	switch policy.Find(path) {
	case policy.Create:
		return rs.responses
	case policy.Compact:
		return rs.compact
	case policy.Stored:
		return rs.response
	case policy.Cancel:
		return rs.cancel
	case policy.InputItems:
		return rs.inputItems
	case policy.Models:
		return rs.models
	case policy.Model:
		return rs.model
	}
	return rs.unknown
}

func (x *exchange) unknownPath() {
	x.fail("unknown_path", nil, policy.UnknownPath(x.r.URL.EscapedPath()))
}

func (x *exchange) wrongMethod() {
	x.header().Set("Allow", x.route.Allow)
	x.fail("wrong_method", nil, x.route.WrongMethod(x.r.Method))
}

func (x *exchange) notStored() {
	x.fail("not_stored", nil, x.route.NotHere())
}
