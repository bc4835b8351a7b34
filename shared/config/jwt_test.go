package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const issued = `"issuer":"https://issuer","audiences":["antwort"]`

func TestJWTIsRefused(t *testing.T) {
	for name, test := range map[string]struct{ auth, problem string }{
		"nothing said":             {`{"type":"jwt"}`, "auth.jwt.issuer: must be set with auth.type jwt: whose tokens are believed; auth.jwt.audiences: must be set with auth.type jwt: tokens that were made for others are not for here; auth.jwt.jwks_url: must be set with auth.type jwt, here or by auth.jwt.jwks_file"},
		"no audience":              {`{"type":"jwt","jwt":{"issuer":"https://issuer","audiences":[],"jwks_file":"/k"}}`, "auth.jwt.audiences: must be set"},
		"keys in two places":       {`{"type":"jwt","jwt":{` + issued + `,"jwks_file":"/k","jwks_url":"https://k"}}`, "auth.jwt.jwks_file: set only one of jwks_url and jwks_file"},
		"tokens that nobody needs": {`{"jwt":{` + issued + `}}`, "auth.jwt.issuer: is set, but auth.type none asks nobody for a token"},
		"a tenant without tokens":  {`{"jwt":{"tenant_claim":"org"}}`, "auth.jwt.tenant_claim: is set, but auth.type none"},
		"API keys as well":         {`{"type":"jwt","api_keys":[{"key_env":"A","subject":"a"}],"jwt":{` + issued + `,"jwks_file":"/k"}}`, "auth.api_keys: there are keys, but auth.type jwt asks nobody for one"},
		"a token passed to vLLM":   {`{"type":"jwt","forward_credential":true,"jwt":{` + issued + `,"jwks_file":"/k"}}`, "auth.forward_credential: needs engine.provider vllm-responses"},
		"an empty issuer":          {`{"type":"jwt","jwt":{"issuer":""}}`, `auth.jwt.issuer: got the text "", want a text`},
		"no skew by a number":      {`{"jwt":{"clock_skew":0}}`, "auth.jwt.clock_skew: got the number 0"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(Sources{JSON: withAuth(test.auth)})
			require.ErrorContains(t, err, test.problem)
		})
	}
}

// The filter reads the claims of tokens that Envoy has verified.
func TestJWTInTheFilter(t *testing.T) {
	const file = `{"engine":{"provider":"vllm"},"auth":{"type":"jwt","jwt":{` + issued
	_, err := LoadFilter(Sources{JSON: []byte(file + `}}}`)})
	require.NoError(t, err, "it needs no keys")
	c, err := LoadFilter(Sources{JSON: []byte(file + `,"jwks_file":"/k","clock_skew":"0s","jwks_refresh":"1h","tenant_claim":"org"}}}`)})
	require.NoError(t, err, "one configuration serves both")

	f, vars := c.ForFilter()
	assert.Empty(t, vars)
	assert.Equal(t, JWT{Issuer: "https://issuer", Audiences: []string{"antwort"}, SubjectClaim: "sub", TenantClaim: "org", ClockSkew: time.Minute, JWKSRefresh: 5 * time.Minute}, f.Auth.JWT)
	assert.Equal(t, "/k", c.Auth.JWT.JWKSFile, "the original must stay as it was")
	require.NoError(t, f.ValidateFilter())
	assert.JSONEq(t, `{"type":"jwt","jwt":{`+issued+`,"tenant_claim":"org"}}`, string(f.appendSection(nil, "auth", Default())))
}

func TestListeners(t *testing.T) {
	for name, test := range map[string]struct{ server, problem string }{
		"a certificate alone":   {`{"tls":{"cert_file":"/c"}}`, "server.tls.key_file: must be set with server.tls.cert_file"},
		"a key alone":           {`{"tls":{"key_file":"/k"}}`, "server.tls.cert_file: must be set with server.tls.key_file"},
		"both":                  {`{"tls":{"cert_file":"/c","key_file":"/k"}}`, ""},
		"one port for two":      {`{"admin":{"port":8080}}`, "server.admin.port: must not be the same as server.port"},
		"one port, two places":  {`{"host":"10.0.0.1","admin":{"port":8080}}`, ""},
		"one port, everywhere":  {`{"host":"10.0.0.1","admin":{"port":8080,"host":"::"}}`, "server.admin.port: must not be the same"},
		"a port for the admins": {`{"admin":{"port":9090}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(Sources{JSON: []byte(`{"engine":{"provider":"vllm","backend_url":"http://llm"},"server":` + test.server + `}`)})
			if test.problem == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, test.problem+err.Error()[min(len(test.problem), len(err.Error())):])
		})
	}
}
