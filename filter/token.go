package filter

import (
	"encoding/binary"
	"slices"

	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// jwtAuthn is Envoy's filter that verifies tokens. It notes the claims as
// dynamic metadata, which no client can write, under the name that its
// configuration gives (payload_in_metadata).
const jwtAuthn = "envoy.filters.http.jwt_authn"

const (
	// ownClaims is that name in rendered configurations, which verify issuer and
	// audiences as auth.jwt says.
	ownClaims = "antwort"
	// otherClaims is the name that Istio gives, whatever issuers and audiences
	// its RequestAuthentications have.
	otherClaims = "payload"
)

// claim is a claim of the verified token as the host gives it, nil without one.
func claim(under, name string) []byte {
	b, err := proxywasm.GetProperty([]string{"metadata", "filter_metadata", jwtAuthn, under, name})
	if err != nil { // not found, or null
		return nil
	}
	return b
}

// verified is the caller whose token Envoy has verified. Without claims nobody
// calls: nothing verifies tokens, or lets requests without one pass.
func (x *exchange) verified(authorization, apiKey []string) (*policy.Identity, *responses.Error) {
	// A token that Envoy has taken away was the only one.
	if len(authorization)+len(apiKey) > 0 {
		if _, err := x.access.Token(authorization, apiKey); err != nil {
			return nil, err
		}
	}
	under, subject := ownClaims, x.cfg.Auth.JWT.SubjectClaim
	who := claim(under, subject)
	if who == nil {
		if err := x.verifiedForUs(len(authorization) > 0); err != nil {
			return nil, err
		}
		under, who = otherClaims, claim(otherClaims, subject)
	}
	return x.access.Verified(func(name string) (string, bool) {
		if name == subject {
			return string(who), true
		}
		return string(claim(under, name)), true
	})
}

// verifiedForUs looks at issuer and audience again, and that the token ends some
// time: Istio cannot be told to.
func (x *exchange) verifiedForUs(hasToken bool) *responses.Error {
	j, issuer := &x.cfg.Auth.JWT, claim(otherClaims, "iss")
	switch {
	case issuer == nil && !hasToken:
		return policy.MissingToken()
	case issuer == nil:
		return policy.InvalidToken("the token says nothing of who calls, or the gateway has not verified it")
	case string(issuer) != j.Issuer:
		return policy.InvalidToken("the token is of another issuer")
	case !isFor(claim(otherClaims, "aud"), j.Audiences):
		return policy.InvalidToken("the token is for another audience")
	case claim(otherClaims, "exp") == nil:
		return policy.InvalidToken("the token has no claim exp")
	}
	return nil
}

// isFor reports whether the claim aud, a text or a list of texts (RFC 7519
// section 4.1.3), has one of the audiences. Envoy gives a list as pairs without
// values: the count, the two sizes of each, and each key and value with a zero
// byte after it.
func isFor(aud []byte, audiences []string) bool {
	if slices.Contains(audiences, string(aud)) {
		return true
	}
	if len(aud) < 4 {
		return false
	}
	n := uint64(binary.LittleEndian.Uint32(aud))
	sizes, rest := aud[4:], aud
	if n > uint64(len(sizes))/8 {
		return false
	}
	rest = sizes[8*n:]
	for ; n > 0; n-- {
		size := uint64(binary.LittleEndian.Uint32(sizes))
		if binary.LittleEndian.Uint32(sizes[4:]) != 0 || size+2 > uint64(len(rest)) {
			return false
		}
		if slices.Contains(audiences, string(rest[:size])) {
			return true
		}
		sizes, rest = sizes[8:], rest[size+2:]
	}
	return false
}
