package server

import (
	"crypto/sha256"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/server/identity"
	"antwort/shared/config"
)

// What it costs to find out who calls and where the request goes: with as many
// keys and routes, of which the last one fits.
func BenchmarkGates(b *testing.B) {
	is, k := newIssuer(b), key("1")
	is.publish(k)
	withRoutes := func(c *config.Config) {
		for i := range 20 {
			route := config.Route{Name: fmt.Sprint("r", i), Backends: []config.Backend{{URL: "http://llm", Provider: config.VLLM, Weight: 1}}}
			route.Match.Models, route.Match.Tenants = []string{fmt.Sprintf("other-%d-*", i), fmt.Sprint("m", i)}, []string{"team-a"}
			if i == 19 {
				route.Match.Models = []string{"/mnt/*"}
			}
			c.Routes = append(c.Routes, route)
		}
	}
	for name, test := range map[string]struct {
		auth       func(*config.Config)
		credential string
	}{
		"100 keys": {func(c *config.Config) {
			c.Auth.Type = config.APIKeyAuth
			for i := range 100 {
				c.Auth.APIKeys = append(c.Auth.APIKeys, config.APIKey{Digest: sha256.Sum256(fmt.Append(nil, "key-", i)), Subject: "alice", Tenant: "team-a"})
			}
		}, "key-50"},
		"tokens": {is.asked, is.token(k, aliceClaims)},
	} {
		b.Run(name, func(b *testing.B) {
			cfg := defaults(config.VLLM, "http://llm")
			test.auth(cfg)
			withRoutes(cfg)
			srv, err := New(cfg, Options{})
			require.NoError(b, err)
			s := srv.inForce.Load()
			require.NoError(b, s.callers.Succeed(b.Context(), new(identity.Callers)))
			b.Cleanup(func() { s.callers.Stop(nil) })
			r := httptest.NewRequest("POST", "/v1/responses", nil)
			r.Header.Set("Authorization", "Bearer "+test.credential)
			x := &exchange{gen: s, r: r}
			b.ReportAllocs()
			for b.Loop() {
				caller, refused := s.callers.Identify(r)
				if refused != nil {
					b.Fatal(refused.Reply.Message)
				}
				x.rec.Caller = caller
				ask := x.ask()
				ask.Model = "/mnt/models"
				if i := s.decider.Router().Choose(ask); i < 0 || s.pools.Route(i).Name != "r19" {
					b.Fatal("it goes elsewhere")
				}
			}
		})
	}
}
