package filter_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"antwort/filter/filtertest"
	"antwort/shared/corpus"

	"github.com/stretchr/testify/require"
)

// byToken is a configuration that asks for the corpus's tokens.
func byToken(all *corpus.Tokens, provider, profile string) []byte {
	return []byte(`{"engine":{"provider":"` + provider + `"},"filter":{"profile":"` + profile + `"},"auth":` + string(all.Auth) + `}`)
}

// The cases that package policy, the native server and Envoy's own verifier run
// too. Here the host notes the claims of what a verifier would let pass.
func TestTokenCorpus(t *testing.T) {
	all, err := corpus.LoadTokens()
	require.NoError(t, err)
	issuer, err := corpus.NewIssuer()
	require.NoError(t, err)
	for _, provider := range []string{"vllm", "vllm-responses"} {
		for _, profile := range profiles {
			// Our own Envoy verifies issuer and audience as the filter has them,
			// Istio's may not.
			under := map[string]string{"inline": "payload", "gated": "antwort"}[profile]
			up := newUpstream(nil)
			var claims map[string]any
			h := start(t, byToken(all, provider, profile), up, func(o *filtertest.Options) {
				o.Metadata = func(*http.Request) map[string]any {
					if claims == nil {
						return nil
					}
					return map[string]any{"envoy.filters.http.jwt_authn": map[string]any{under: claims}}
				}
			})
			for i := range all.Cases {
				c := &all.Cases[i]
				t.Run(provider+"/"+profile+"/"+c.Name, func(t *testing.T) {
					claims = nil
					if c.RefusedBy == "" || c.RefusedBy == "audience" && under == "payload" {
						claims = decoded(t, c.Claims)
					}
					up.set(gives(200, "application/json", chatHello))
					r := c.Request(issuer)
					got := raw(t, h, r.Wire("gateway.example"))
					wait(t, h)
					require.Equal(t, c.Status, got.status, got.body)
					if c.Status != 200 {
						require.Equal(t, c.Code, errorOf(t, got.body).Code, got.body)
						require.True(t, strings.HasPrefix(got.header.Get("Www-Authenticate"), "Bearer"))
						require.Zero(t, up.count(), "the upstream saw it begin")
						return
					}
					req, _ := up.last()
					require.Equal(t, []string{c.Subject}, req.Header["X-Antwort-Subject"])
					require.Equal(t, c.Tenant, strings.Join(req.Header["X-Antwort-Tenant"], ","))
					require.Empty(t, req.Header["Authorization"], "the client's token is not for the upstream")
					require.NotContains(t, req.Header, "root", "a forged identity passed")
				})
			}
			require.Zero(t, h.Counter("antwort.panics_total"))
		}
	}
}

// decoded are claims as a verifier reads them.
func decoded(t *testing.T, claims map[string]any) (out map[string]any) {
	t.Helper()
	b, err := json.Marshal(claims)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &out))
	if out == nil {
		return nil
	}
	out["exp"] = 4e9
	return out
}

// Without a verifier in front nobody gets in, whatever a token says.
func TestNobodyVerifiesTokens(t *testing.T) {
	all, err := corpus.LoadTokens()
	require.NoError(t, err)
	issuer, err := corpus.NewIssuer()
	require.NoError(t, err)
	up := newUpstream(nil)
	h := start(t, byToken(all, "vllm", "inline"), up)
	for i := range all.Cases {
		r := all.Cases[i].Request(issuer)
		require.Equal(t, 401, raw(t, h, r.Wire("gateway.example")).status, r.Name)
	}
	require.Zero(t, up.count())
}

// Istio verifies the times of a token that has some.
func TestTokenWithoutEnd(t *testing.T) {
	all, err := corpus.LoadTokens()
	require.NoError(t, err)
	issuer, err := corpus.NewIssuer()
	require.NoError(t, err)
	up := newUpstream(nil)
	claims := decoded(t, all.Cases[0].Claims)
	delete(claims, "exp")
	h := start(t, byToken(all, "vllm", "inline"), up, func(o *filtertest.Options) {
		o.Metadata = func(*http.Request) map[string]any {
			return map[string]any{"envoy.filters.http.jwt_authn": map[string]any{"payload": claims}}
		}
	})
	r := all.Cases[0].Request(issuer)
	got := raw(t, h, r.Wire("gateway.example"))
	require.Equal(t, 401, got.status)
	require.Equal(t, "invalid_token", errorOf(t, got.body).Code)
	require.Zero(t, up.count())
}

// The token is for the upstream only where the configuration says so, and a
// verifier that has taken it away is none the worse for it.
func TestTokenForTheUpstream(t *testing.T) {
	all, err := corpus.LoadTokens()
	require.NoError(t, err)
	issuer, err := corpus.NewIssuer()
	require.NoError(t, err)
	good := &all.Cases[0]
	verified := func(o *filtertest.Options) {
		o.Metadata = func(*http.Request) map[string]any {
			return map[string]any{"envoy.filters.http.jwt_authn": map[string]any{"payload": decoded(t, good.Claims)}}
		}
	}
	for _, forward := range []bool{false, true} {
		auth := string(all.Auth)
		if forward {
			auth = strings.TrimSuffix(auth, "}") + `,"forward_credential":true}`
		}
		up := newUpstream(gives(200, "application/json", chatHello))
		h := start(t, []byte(`{"engine":{"provider":"vllm-responses"},"auth":`+auth+`}`), up, verified)
		token := issuer.Token(good)
		require.Equal(t, 200, post(t, h, `{}`, "Authorization", "Bearer "+token).status)
		r, _ := up.last()
		if forward {
			require.Equal(t, "Bearer "+token, r.Header.Get("Authorization"))
		} else {
			require.Empty(t, r.Header.Get("Authorization"))
		}
		require.Equal(t, 200, post(t, h, `{}`).status)
		r, _ = up.last()
		require.Equal(t, "alice", r.Header.Get("X-Antwort-Subject"))
	}
}
