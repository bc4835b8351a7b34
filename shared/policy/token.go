package policy

import (
	"strings"

	"antwort/shared/config"
	"antwort/shared/responses"
)

// ByToken reports whether callers are known by tokens (auth.type jwt), which
// somebody else verifies: a library in the server, Envoy or Istio in front of
// the filter. Then Token and Verified decide instead of Identify.
func (a *Access) ByToken() bool { return a != nil && a.token != nil }

// tokenClaims are the names of the claims that say who calls.
type tokenClaims struct{ subject, tenant string }

func newTokenClaims(j *config.JWT) *tokenClaims { return &tokenClaims{j.SubjectClaim, j.TenantClaim} }

// Token is the one token of a request, by all values of the fields
// authorization and x-api-key (RFC 6750 section 2.1). The error is a 401, which
// also needs the header of Challenge.
func (*Access) Token(authorization, apiKey []string) (string, *responses.Error) {
	if len(authorization) == 0 && len(apiKey) == 1 {
		return "", MissingToken()
	}
	return tokenWords.credentialOf(authorization, apiKey)
}

// MissingToken is the answer to a request without a token.
func MissingToken() *responses.Error {
	return unauthorized("missing_token", "a token is needed: send it as Authorization: Bearer …")
}

// InvalidToken is the answer to a token that is not good; why is for the client
// to read and has nothing of the token in it.
func InvalidToken(why string) *responses.Error { return unauthorized("invalid_token", why) }

// AuthUnavailable is the answer while nobody's token can be verified. It is not
// the caller's fault.
func AuthUnavailable() *responses.Error {
	e := responses.NewError(503, "auth_unavailable", "tokens cannot be verified at the moment, as the issuer's keys are not to be had: try again later")
	e.RetryAfter = "5"
	return e
}

// Verified is the caller of a token whose signature, issuer, audience and times
// somebody has verified. claim gives a claim's text, "" when the token has none;
// it is false when the claim is something else than a text. The error is a 401.
func (a *Access) Verified(claim func(name string) (text string, ok bool)) (*Identity, *responses.Error) {
	subject, ok := claim(a.token.subject)
	switch {
	case !ok || subject != "" && !isIdentity(subject):
		return nil, unusableClaim(a.token.subject)
	case subject == "":
		return nil, InvalidToken("the token has no claim " + a.token.subject + ", which says who calls")
	}
	caller := &Identity{Subject: subject}
	if a.token.tenant != "" {
		if caller.Tenant, ok = claim(a.token.tenant); !ok || caller.Tenant != "" && !isIdentity(caller.Tenant) {
			return nil, unusableClaim(a.token.tenant)
		}
	}
	return caller, nil
}

func unusableClaim(name string) *responses.Error {
	return InvalidToken("the token's claim " + name + " is not a text of at most 256 printable ASCII characters without spaces")
}

// isIdentity accepts what can go into a header and a log as it is.
func isIdentity(s string) bool {
	return len(s) <= 256 && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}
