package envoy

import "antwort/shared/policy"

// corsName is Envoy's filter that answers preflights and lets pages read
// answers, local replies included. It stands first: preflights have no credential.
const corsName = "envoy.filters.http.cors"

// forPages reports whether pages in browsers may use the gateway.
func (r *renderer) forPages() bool { return len(r.c.Server.CORS.AllowedOrigins) > 0 }

// corsPolicy is what the filter keeps to on all routes.
func (r *renderer) corsPolicy() object {
	var origins list
	for _, origin := range r.c.Server.CORS.AllowedOrigins {
		origins = append(origins, object{{"exact", origin}}) // "*" is every one to Envoy too
	}
	return typed("envoy.extensions.filters.http.cors.v3.CorsPolicy", object{
		{"allow_origin_string_match", origins},
		{"allow_methods", policy.CORSMethods},
		{"allow_headers", policy.CORSRequestFields},
		{"expose_headers", policy.CORSAnswerFields},
		{"max_age", policy.CORSMaxAge},
	})
}
