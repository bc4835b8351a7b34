package server

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"antwort/server/buffer"
	"antwort/server/dispatch"
	"antwort/shared/config"
	"antwort/shared/policy"
)

// BenchmarkWhoAndWhere is what it costs a request to find out who calls and where
// it goes: with 100 API keys, 20 routes by model, tenant and header, four
// backends, and a body of 2 KB, which is read for affinity.
func BenchmarkWhoAndWhere(b *testing.B) {
	body := []byte(`{"model":"model-19","instructions":"` + strings.Repeat("be brief ", 100) + `","input":[{"role":"user","content":"` + strings.Repeat("word ", 200) + `"}]}`)
	reader := bytes.NewReader(body)
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		for _, balance := range []string{config.LeastRequest, config.Affinity} {
			b.Run(string(provider)+"/"+balance, func(b *testing.B) {
				srv, err := New(manyRoutes(provider, balance), Options{})
				if err != nil {
					b.Fatal(err)
				}
				r := httptest.NewRequest(http.MethodPost, "/v1/responses", io.NopCloser(reader))
				r.Header.Set("Authorization", "Bearer key-50")
				r.Header.Set("X-Team", "research")
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				b.ReportAllocs()
				for b.Loop() {
					x := &exchange{gen: srv.inForce.Load(), w: w, r: r, endpoint: srv.inForce.Load().endpoints.API[policy.Create]}
					if x.identify() != nil {
						b.Fatal("refused")
					}
					d, f := x.gen.decider.Begin(policy.Request{Endpoint: policy.Create, Method: r.Method, Caller: x.rec.Caller, Field: x.field})
					var read *buffer.Buffer
					if d.Need == policy.Translation { // it tells the model
						f = d.Translated("model-19", body, nil)
					} else if f == nil {
						reader.Reset(body)
						if read, f = x.reqBody().Read(); f == nil {
							f = d.Body(read.B)
						}
					}
					if f != nil {
						b.Fatal(f.Reply)
					}
					call := x.gen.pools.Route(d.Route).Call(&dispatch.Request{Held: read, Conversation: d.Conversation})
					call.Drop()
					call.Release()
				}
			})
		}
	}
}

// manyRoutes is a configuration with everything that costs.
func manyRoutes(provider config.Provider, balance string) *config.Config {
	cfg := config.Default()
	cfg.Engine.Provider = provider
	cfg.Auth.Type = config.APIKeyAuth
	for i := range 100 {
		cfg.Auth.APIKeys = append(cfg.Auth.APIKeys, config.APIKey{Digest: sha256.Sum256([]byte(fmt.Sprint("key-", i))), Subject: "someone", Tenant: "team"})
	}
	for i := range 20 {
		route := config.Route{Name: fmt.Sprint("route-", i), Balance: balance, MaxLoad: 200}
		route.Match = config.Match{Models: []string{"other-*", fmt.Sprint("model-", i)}, Tenants: []string{"team"}, Headers: []config.HeaderMatch{{Name: "x-team", Value: "research"}}}
		for j := range 4 {
			route.Backends = append(route.Backends, config.Backend{URL: fmt.Sprintf("http://backend-%d-%d:8000", i, j), Weight: 1 + j})
		}
		cfg.Routes = append(cfg.Routes, route)
	}
	return cfg
}
