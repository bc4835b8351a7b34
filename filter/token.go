package filter

import (
	"encoding/binary"
	"slices"

	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// jwtAuthn is Envoy's filter that verifies tokens. It notes the claims as
// dynamic metadata, which no client can write, under the name payload: rendered
// configurations and Istio's RequestAuthentication both say so.
const jwtAuthn = "envoy.filters.http.jwt_authn"

// claim is a claim of the verified token as the host gives it, nil without one.
func claim(name string) []byte {
	b, err := proxywasm.GetProperty([]string{"metadata", "filter_metadata", jwtAuthn, "payload", name})
	if err != nil { // not found, or null
		return nil
	}
	return b
}

// verified is the caller whose token Envoy has verified. Whoever configured that
// may have had other issuers and audiences in mind than auth.jwt has, so both
// are looked at again. Without claims nobody calls: nothing verifies tokens, or
// lets requests without one pass.
func (s *stream) verified(authorization, apiKey []string) (*policy.Identity, *responses.Error) {
	// A token that Envoy has taken away was the only one.
	if len(authorization)+len(apiKey) > 0 {
		if _, err := s.access.Token(authorization, apiKey); err != nil {
			return nil, err
		}
	}
	j := &s.cfg.Auth.JWT
	issuer := claim("iss")
	switch {
	case issuer == nil && len(authorization) == 0:
		return nil, policy.MissingToken()
	case issuer == nil:
		return nil, policy.InvalidToken("the gateway has not verified the token")
	case string(issuer) != j.Issuer:
		return nil, policy.InvalidToken("the token is of another issuer")
	case !isFor(claim("aud"), j.Audiences):
		return nil, policy.InvalidToken("the token is for another audience")
	}
	return s.access.Verified(func(name string) (string, bool) { return string(claim(name)), true })
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
