package server

import (
	"net/http"

	"antwort/shared/policy"
)

// readOrigin keeps the origin of the page that asks, when answers are for it to
// read.
func (x *exchange) readOrigin() {
	if allowed := x.gen.cfg.Server.CORS.AllowedOrigins; len(allowed) > 0 {
		if origin := x.r.Header.Get("Origin"); policy.AllowsOrigin(allowed, origin) {
			x.origin = origin
		}
	}
}

// preflight answers what a browser asks before it sends the page's request: it
// has no credential, and reaches no endpoint.
func (x *exchange) preflight() bool {
	if x.origin == "" || x.r.Method != http.MethodOptions || x.r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h := x.header()
	h.Set("Access-Control-Allow-Methods", policy.CORSMethods)
	h.Set("Access-Control-Allow-Headers", policy.CORSRequestFields)
	h.Set("Access-Control-Max-Age", policy.CORSMaxAge)
	x.begin(http.StatusNoContent)
	return true
}

// allowOrigin lets the page read the answer that the header belongs to. What a
// backend says of it is replaced: it does not know this gateway's pages.
func (x *exchange) allowOrigin(h http.Header) {
	if x.origin == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", x.origin)
	h.Set("Access-Control-Expose-Headers", policy.CORSAnswerFields)
	h.Del("Access-Control-Allow-Credentials")
	h.Add("Vary", "Origin")
}
