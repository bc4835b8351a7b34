package config

// validateJWT refuses tokens that nobody asks for, and what would let any token
// of any issuer in.
func (c *Config) validateJWT(ps *Problems, filter bool) {
	j := &c.Auth.JWT
	if c.Auth.Type != JWTAuth {
		for _, given := range [...]struct {
			path string
			is   bool
		}{
			{"auth.jwt.issuer", j.Issuer != ""},
			{"auth.jwt.audiences", len(j.Audiences) > 0},
			{"auth.jwt.jwks_url", j.JWKSURL != ""},
			{"auth.jwt.jwks_file", j.JWKSFile != ""},
			{"auth.jwt.tenant_claim", j.TenantClaim != ""},
		} {
			if given.is {
				ps.add(given.path, "", "is set, but auth.type "+c.Auth.Type+" asks nobody for a token: set auth.type to jwt, or leave auth.jwt out")
				return
			}
		}
		return
	}
	if j.Issuer == "" {
		ps.add("auth.jwt.issuer", "", "must be set with auth.type jwt: whose tokens are believed")
	}
	if len(j.Audiences) == 0 {
		ps.add("auth.jwt.audiences", "", "must be set with auth.type jwt: tokens that were made for others are not for here")
	}
	switch given := j.JWKSURL != "" && j.JWKSFile != ""; {
	case given:
		ps.add("auth.jwt.jwks_file", "", "set only one of jwks_url and jwks_file")
	case j.JWKSURL == "" && j.JWKSFile == "" && !filter:
		ps.add("auth.jwt.jwks_url", "", "must be set with auth.type jwt, here or by auth.jwt.jwks_file: the keys that tokens are checked with")
	}
}

// forFilter leaves out how tokens are verified: Envoy or Istio does it, and the
// filter reads the claims of what they have verified.
func (j *JWT) forFilter() {
	defaults := Default().Auth.JWT
	j.JWKSURL, j.JWKSFile = "", ""
	j.ClockSkew, j.JWKSRefresh = defaults.ClockSkew, defaults.JWKSRefresh
}
