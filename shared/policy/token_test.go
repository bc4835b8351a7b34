package policy_test

import (
	"strings"
	"testing"

	"antwort/shared/config"
	"antwort/shared/corpus"
	"antwort/shared/policy"

	"github.com/stretchr/testify/require"
)

func byToken(t testing.TB, tenantClaim string) *policy.Access {
	t.Helper()
	cfg, err := config.LoadFilter(config.Sources{JSON: []byte(`{"engine":{"provider":"vllm"},"auth":{"type":"jwt",
		"jwt":{"issuer":"https://issuer.example","audiences":["antwort"]` + tenantClaim + `}}}`)})
	require.NoError(t, err)
	return policy.NewAccess(cfg)
}

// A configuration that asks for tokens takes no key, the empty one included.
func TestTokensAreNotKeys(t *testing.T) {
	access := byToken(t, "")
	require.True(t, access.ByToken())
	for _, given := range [][]string{nil, {""}, {"Bearer "}, {"Bearer x"}, {"Bearer a.b.c"}} {
		_, err := access.Identify(given, nil, policy.Told{})
		require.NotNil(t, err)
		require.Equal(t, 401, err.Status)
	}
	require.False(t, (*policy.Access)(nil).ByToken())
}

func TestToken(t *testing.T) {
	access := byToken(t, "")
	for name, test := range map[string]struct {
		authorization, apiKey []string
		token, code           string
	}{
		"one":                     {[]string{"Bearer a.b.c"}, nil, "a.b.c", ""},
		"scheme in any case":      {[]string{"bEARER  a.b.c"}, nil, "a.b.c", ""},
		"none":                    {nil, nil, "", "missing_token"},
		"an API key":              {nil, []string{"a.b.c"}, "", "missing_token"},
		"empty":                   {[]string{"Bearer "}, nil, "", "missing_token"},
		"two":                     {[]string{"Bearer a.b.c", "Bearer a.b.c"}, nil, "", "invalid_token"},
		"a token and a key":       {[]string{"Bearer a.b.c"}, []string{"k"}, "", "invalid_token"},
		"another scheme":          {[]string{"Basic a.b.c"}, nil, "", "invalid_token"},
		"text after it":           {[]string{"Bearer a.b.c d"}, nil, "", "invalid_token"},
		"two in one field":        {[]string{"Bearer a.b.c, Bearer a.b.c"}, nil, "", "invalid_token"},
		"longer than any":         {[]string{"Bearer " + strings.Repeat("a", 9000)}, nil, "", "invalid_token"},
		"a prefix of that scheme": {[]string{"Bear a.b.c"}, nil, "", "invalid_token"},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := access.Token(test.authorization, test.apiKey)
			require.Equal(t, test.token, token)
			if test.code == "" {
				require.Nil(t, err)
				return
			}
			require.NotNil(t, err)
			require.Equal(t, 401, err.Status)
			require.Equal(t, test.code, err.Code)
			require.NotContains(t, err.Message, "a.b.c")
			challenge := "Bearer"
			if test.code == "invalid_token" {
				challenge = `Bearer error="invalid_token"`
			}
			require.Equal(t, [2]string{"www-authenticate", challenge}, policy.Challenge(err))
		})
	}
}

func TestVerified(t *testing.T) {
	const number = "\x00number"
	for name, test := range map[string]struct {
		claims          map[string]string
		subject, tenant string // of the caller, "" when refused
	}{
		"both":                 {map[string]string{"sub": "alice", "org": "team-a"}, "alice", "team-a"},
		"no tenant":            {map[string]string{"sub": "auth0|alice"}, "auth0|alice", ""},
		"no subject":           {map[string]string{"org": "team-a"}, "", ""},
		"a number":             {map[string]string{"sub": number}, "", ""},
		"a number as tenant":   {map[string]string{"sub": "alice", "org": number}, "", ""},
		"a space":              {map[string]string{"sub": "alice smith"}, "", ""},
		"a line end":           {map[string]string{"sub": "alice", "org": "a\r\nx-antwort-subject: root"}, "", ""},
		"not ASCII":            {map[string]string{"sub": "älice"}, "", ""},
		"a control character":  {map[string]string{"sub": "alice\x7f"}, "", ""},
		"longer than a header": {map[string]string{"sub": strings.Repeat("a", 257)}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := byToken(t, `,"tenant_claim":"org"`).Verified(func(name string) (string, bool) {
				return test.claims[name], test.claims[name] != number
			})
			if test.subject == "" {
				require.Nil(t, id)
				require.NotNil(t, err)
				require.Equal(t, []any{401, "invalid_token"}, []any{err.Status, err.Code})
				return
			}
			require.Nil(t, err)
			require.Equal(t, [2]string{test.subject, test.tenant}, [2]string{id.Subject, id.Tenant})
			require.False(t, id.Restricted())
		})
	}
}

// A claim that nobody is configured to read gives no tenant.
func TestTenantWithoutItsClaim(t *testing.T) {
	id, err := byToken(t, "").Verified(func(name string) (string, bool) {
		require.Equal(t, "sub", name)
		return "alice", true
	})
	require.Nil(t, err)
	require.Empty(t, id.Tenant)
}

// The cases that the server, the filter and Envoy run too. What verifiers find
// out is theirs.
func TestTokenCorpus(t *testing.T) {
	all, err := corpus.LoadTokens()
	require.NoError(t, err)
	issuer, err := corpus.NewIssuer()
	require.NoError(t, err)
	access := byToken(t, `,"tenant_claim":"org"`)
	for i := range all.Cases {
		c := &all.Cases[i]
		t.Run(c.Name, func(t *testing.T) {
			r := c.Request(issuer)
			_, e := access.Token(trimmed(r.Values("authorization")), trimmed(r.Values("x-api-key")))
			var id *policy.Identity
			if e == nil {
				if c.RefusedBy != "" {
					return
				}
				id, e = access.Verified(func(name string) (string, bool) {
					value, has := c.Claims[name]
					text, is := value.(string)
					return text, is || !has
				})
			}
			if c.Status == 200 {
				require.Nil(t, e)
				require.Equal(t, [2]string{c.Subject, c.Tenant}, [2]string{id.Subject, id.Tenant})
				return
			}
			require.NotNil(t, e, "it was let in")
			require.Equal(t, []any{c.Status, c.Code}, []any{e.Status, e.Code}, e.Message)
		})
	}
}
