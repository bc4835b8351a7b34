package server

import (
	"context"
	"net/http"
)

func (x *exchange) health() { x.text(http.StatusOK, "ok\n") }

// readiness is about this server, not the upstream's present state: later
// outages, the issuer's too, are told to each request, and must not take all
// pods away at once.
func (g *generation) readiness() (status int, text string) {
	switch {
	case g.draining.Load():
		return http.StatusServiceUnavailable, "shutting down\n"
	case !g.dispatcher.Contacted():
		return http.StatusServiceUnavailable, "waiting for the first contact with the upstream\n"
	case g.tokens != nil && !g.tokens.HadKeys():
		return http.StatusServiceUnavailable, "waiting for the keys of the tokens' issuer\n"
	}
	return http.StatusOK, "ok\n"
}

func (x *exchange) ready() { x.text(x.gen.readiness()) }

func (x *exchange) text(status int, body string) {
	x.header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
	x.begin(status)
	x.write([]byte(body))
}

// contact asks the backends until they answer, or the configuration is no longer
// in force.
func (g *generation) contact(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(g.retired, cancel)
	g.pools.Contact(ctx)
	g.pools.FollowCertificates(ctx)
}

func (x *exchange) scrape() {
	x.rec.Status = http.StatusOK
	x.limitWriting()
	x.gen.observer.Handler().ServeHTTP(x.w, x.r)
}
