package policy

// What pages of other origins may do (the Fetch standard's CORS protocol) where
// server.cors.allowed_origins allows theirs. A credential is never sent by the
// browser itself, only by the page, in a field.
const (
	CORSMethods = "GET, HEAD, POST, DELETE"
	// CORSRequestFields are what SDKs send from browsers; "*" is every other field
	// but Authorization, which must be named.
	CORSRequestFields = "authorization, content-type, idempotency-key, openai-beta, openai-organization, openai-project, x-api-key, x-request-id, " +
		"x-stainless-arch, x-stainless-helper-method, x-stainless-lang, x-stainless-os, x-stainless-package-version, x-stainless-retry-count, " +
		"x-stainless-runtime, x-stainless-runtime-version, x-stainless-timeout, *"
	// CORSAnswerFields are what pages may read of an answer's header.
	CORSAnswerFields = "x-request-id, retry-after, www-authenticate, openai-processing-ms, x-ratelimit-limit-requests, x-ratelimit-limit-tokens, " +
		"x-ratelimit-remaining-requests, x-ratelimit-remaining-tokens, x-ratelimit-reset-requests, x-ratelimit-reset-tokens, " +
		"x-antwort-dropped-tools, *"
	CORSMaxAge = "7200" // seconds that a browser keeps the answer to a preflight, as many as Chrome does at most
)

// AllowsOrigin reports whether a page of the origin may read answers, by
// server.cors.allowed_origins.
func AllowsOrigin(allowed []string, origin string) bool {
	if origin == "" {
		return false
	}
	for _, a := range allowed {
		if a == "*" || a == origin {
			return true
		}
	}
	return false
}
