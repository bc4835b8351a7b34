package server

import (
	"antwort/shared/failure"
	"antwort/shared/policy"
)

// endpoint is one kind of request.
type endpoint struct {
	*policy.Endpoint
	quiet  bool // logged at debug level only
	open   bool // needs no credential
	handle func(*exchange)
}

type endpoints struct {
	responses, compact, response, cancel, inputItems, models, model *endpoint
	health, ready, metrics                                          *endpoint
	metricsPath                                                     string
	passed                                                          *policy.Passed
	unknown                                                         *endpoint
}

func (g *generation) newEndpoints() endpoints {
	es := endpoints{
		responses:  &endpoint{Endpoint: policy.Create, handle: (*exchange).respond},
		compact:    &endpoint{Endpoint: policy.Compact, handle: (*exchange).respond},
		response:   &endpoint{Endpoint: policy.Stored, handle: (*exchange).respond},
		cancel:     &endpoint{Endpoint: policy.Cancel, handle: (*exchange).respond},
		inputItems: &endpoint{Endpoint: policy.InputItems, handle: (*exchange).respond},
		models:     &endpoint{Endpoint: policy.Models, handle: (*exchange).listModels},
		model:      &endpoint{Endpoint: policy.Model, handle: (*exchange).showModel},
		health:     &endpoint{Endpoint: &policy.Endpoint{Name: "/healthz", Allow: "GET, HEAD"}, quiet: true, open: true, handle: (*exchange).health},
		ready:      &endpoint{Endpoint: &policy.Endpoint{Name: "/readyz", Allow: "GET, HEAD"}, quiet: true, open: true, handle: (*exchange).ready},
		passed:     policy.NewPassed(g.cfg.Engine.Pass),
		unknown:    &endpoint{Endpoint: &policy.Endpoint{Name: "unknown"}, handle: (*exchange).unknownPath},
	}
	if m := g.cfg.Observability.Metrics; m.Enabled && !g.hasAdmin {
		es.metrics = &endpoint{Endpoint: &policy.Endpoint{Name: m.Path, Allow: "GET, HEAD"}, quiet: true, open: true, handle: (*exchange).scrape}
		es.metricsPath = m.Path
	}
	return es
}

// find returns the endpoint of a path, which is still escaped.
func (es *endpoints) find(path string) *endpoint {
	switch {
	case path == "/healthz":
		return es.health
	case path == "/readyz":
		return es.ready
	case es.metrics != nil && path == es.metricsPath:
		return es.metrics
	}
	switch policy.Find(path) {
	case policy.Create:
		return es.responses
	case policy.Compact:
		return es.compact
	case policy.Stored:
		return es.response
	case policy.Cancel:
		return es.cancel
	case policy.InputItems:
		return es.inputItems
	case policy.Models:
		return es.models
	case policy.Model:
		return es.model
	}
	if passed := es.passed.Find(path); passed != nil {
		return &endpoint{Endpoint: passed, handle: (*exchange).respond}
	}
	return es.unknown
}

func (x *exchange) unknownPath() {
	x.answerFailure(failure.Of(failure.UnknownPath, policy.UnknownPath(x.r.URL.EscapedPath())))
}

func (x *exchange) wrongMethod() {
	x.answerFailure(failure.Of(failure.WrongMethod, x.endpoint.WrongMethod(x.r.Method)).With("Allow", x.endpoint.Allow))
}
