package envoy

// Envoy verifies tokens itself (auth.type jwt) and notes their claims where the
// filter behind it reads them.
const (
	tokensName    = "envoy.filters.http.jwt_authn" //nolint:gosec // a name of Envoy's, no credential
	tokensMessage = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
	// claimsKey is the name of the claims among what jwt_authn notes. By this one
	// the filter knows that issuer and audience are as auth.jwt has them.
	claimsKey = "antwort"
)

// tokensFilter stands before all other filters.
func (r *renderer) tokensFilter() object {
	if r.o.Supervised != nil {
		return r.discovered(tokensName, TokensFile, tokensMessage)
	}
	return r.tokens()
}

// tokens asks for a token on every path; the routes of probes turn it off. The
// token is left in its field: the filter looks at all credentials that came, and
// takes them away.
func (r *renderer) tokens() object {
	j := &r.c.Auth.JWT
	provider := object{
		{"issuer", j.Issuer},
		{"audiences", j.Audiences},
		{"require_expiration", true},
		{"clock_skew_seconds", int(j.ClockSkew.Seconds())},
		{"forward", true},
		{"payload_in_metadata", claimsKey},
		// Not in the query, where logs would have it. Envoy looks at the case of
		// the scheme; these are the ways in which it is written.
		{"from_headers", list{
			object{{"name", "authorization"}, {"value_prefix", "Bearer "}},
			object{{"name", "authorization"}, {"value_prefix", "bearer "}},
			object{{"name", "authorization"}, {"value_prefix", "BEARER "}},
		}},
		r.keys(),
	}
	if j.JWKSURL == "" {
		// A token that was good is not verified again by a worker, but for its
		// times. Not with keys that Envoy fetches: it would remember tokens whose
		// key has been withdrawn.
		provider = append(provider, member{"jwt_cache_config", object{{"jwt_cache_size", 1000}}})
	}
	return extension(tokensName, tokensMessage, object{
		{"providers", object{{"issuer", provider}}},
		{"rules", list{object{{"match", object{{"prefix", "/"}}}, {"requires", object{{"provider_name", "issuer"}}}}}},
	})
}

// keys are the issuer's.
func (r *renderer) keys() member {
	j := &r.c.Auth.JWT
	switch {
	case j.JWKSURL != "":
		return member{"remote_jwks", object{
			{"http_uri", object{{"uri", j.JWKSURL}, {"cluster", jwksCluster}, {"timeout", "5s"}}},
			{"cache_duration", duration(j.JWKSRefresh)},
			// Before the first request and on time, not when a request needs them.
			{"async_fetch", object{{"failed_refetch_duration", "2s"}}},
			{"retry_policy", object{{"num_retries", 1}}},
		}}
	case r.o.Supervised != nil:
		return member{"local_jwks", object{{"inline_string", string(r.o.Supervised.JWKS)}}}
	}
	return member{"local_jwks", object{{"filename", j.JWKSFile}}}
}
