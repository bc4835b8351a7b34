package server

import (
	"context"
	"net/http"

	"antwort/server/header"
	"antwort/shared/failure"
	"antwort/shared/policy"
)

// endpoint is one kind of request.
type endpoint struct {
	*policy.Endpoint
	quiet  bool // logged at debug level only
	open   bool // needs no credential
	routed bool // what becomes of it depends on routes
	answer func(*exchange) *failure.Failure
}

type endpoints struct {
	api                    map[*policy.Endpoint]*endpoint
	passed                 *policy.Passed
	health, ready, metrics *endpoint
	socket                 *endpoint
	unknown                *endpoint
}

func (g *generation) newEndpoints() endpoints {
	es := endpoints{
		api:     make(map[*policy.Endpoint]*endpoint),
		passed:  policy.NewPassed(g.cfg.Engine.Pass),
		health:  probe("/healthz", (*exchange).health),
		ready:   probe("/readyz", (*exchange).ready),
		socket:  &endpoint{Endpoint: &policy.Endpoint{Name: "websocket", Allow: "GET"}, answer: (*exchange).upgrade},
		unknown: &endpoint{Endpoint: &policy.Endpoint{Name: "unknown"}, answer: (*exchange).unknownPath},
	}
	for _, e := range [...]*policy.Endpoint{policy.Create, policy.Compact, policy.InputTokens, policy.Stored, policy.Cancel, policy.InputItems,
		policy.Conversations, policy.Conversation, policy.ConversationItems, policy.ConversationItem} {
		es.api[e] = &endpoint{Endpoint: e, routed: true, answer: (*exchange).respond}
	}
	es.api[policy.Models] = &endpoint{Endpoint: policy.Models, answer: (*exchange).listModels}
	es.api[policy.Model] = &endpoint{Endpoint: policy.Model, answer: (*exchange).showModel}
	if m := g.cfg.Observability.Metrics; m.Enabled && !g.hasAdmin {
		es.metrics = probe(m.Path, (*exchange).scrape)
	}
	return es
}

func probe(path string, answer func(*exchange) *failure.Failure) *endpoint {
	return &endpoint{Endpoint: &policy.Endpoint{Name: path, Allow: "GET, HEAD"}, quiet: true, open: true, answer: answer}
}

// find returns the endpoint of a path, which is still escaped.
func (es *endpoints) find(path string) *endpoint {
	switch {
	case path == es.health.Name, path == "/health": // as servers of models call it
		return es.health
	case path == es.ready.Name:
		return es.ready
	case es.metrics != nil && path == es.metrics.Name:
		return es.metrics
	}
	if e := policy.Find(path); e != nil {
		return es.api[e]
	}
	if passed := es.passed.Find(path); passed != nil {
		return &endpoint{Endpoint: passed, routed: true, answer: (*exchange).respond}
	}
	return es.unknown
}

// preflight is the endpoint of what a browser asks before it sends the request of a
// page, whatever its path. It has no credential.
var preflight = &endpoint{Endpoint: &policy.Endpoint{Name: "preflight"}, open: true, answer: (*exchange).allowRequest}

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

func (x *exchange) allowRequest() *failure.Failure {
	header.AllowRequest(x.header())
	x.start(http.StatusNoContent)
	return nil
}

func (x *exchange) unknownPath() *failure.Failure {
	return failure.Of(failure.UnknownPath, policy.UnknownPath(x.r.URL.EscapedPath()))
}

func (x *exchange) health() *failure.Failure {
	x.text(http.StatusOK, "ok\n")
	return nil
}

func (x *exchange) ready() *failure.Failure {
	x.text(x.gen.readiness())
	return nil
}

// readiness is about this server, not the upstream's present state: later
// outages, the issuer's too, are told to each request, and must not take all
// pods away at once.
func (g *generation) readiness() (status int, text string) {
	switch {
	case g.draining.Load():
		return http.StatusServiceUnavailable, "shutting down\n"
	case !g.dispatcher.Contacted():
		return http.StatusServiceUnavailable, "waiting for the first contact with the upstream\n"
	case !g.callers.Ready():
		return http.StatusServiceUnavailable, "waiting for the keys of the tokens' issuer\n"
	case g.store != nil && !g.store.Reached() && g.store.Ready(context.Background()) != nil:
		return http.StatusServiceUnavailable, "waiting for the store of responses\n"
	}
	return http.StatusOK, "ok\n"
}

func (x *exchange) scrape() *failure.Failure {
	x.rec.Status = http.StatusOK
	x.limitWriting()
	x.gen.observer.Handler().ServeHTTP(x.w, x.r)
	return nil
}
