package header

import (
	"net/http"

	"antwort/shared/policy"
)

// Origin is the origin of the page in a browser that asks, when answers are for it
// to read; else "".
func Origin(h http.Header, allowed []string) string {
	if len(allowed) > 0 {
		if origin := h.Get("Origin"); policy.AllowsOrigin(allowed, origin) {
			return origin
		}
	}
	return ""
}

// AllowOrigin lets the page of an origin, "" for none, read the answer that the
// header belongs to, where there are pages that may. What a backend says of it is
// replaced: it does not know this gateway's pages. A cache must not give one page the
// answer that another may not read, so all answers say that they depend on it.
func AllowOrigin(h http.Header, origin string, allowed []string) {
	if len(allowed) == 0 {
		return
	}
	h.Add("Vary", "Origin")
	if origin == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", policy.CORSAnswerFields)
	h.Del("Access-Control-Allow-Credentials")
}

// AllowRequest says what a page may ask.
func AllowRequest(h http.Header) {
	h.Set("Access-Control-Allow-Methods", policy.CORSMethods)
	h.Set("Access-Control-Allow-Headers", policy.CORSRequestFields)
	h.Set("Access-Control-Max-Age", policy.CORSMaxAge)
}
