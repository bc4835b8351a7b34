package server

import (
	"context"
	"fmt"
	"net/http"

	"antwort/server/dispatch"
	"antwort/server/token"
	"antwort/shared/config"
	"antwort/shared/policy"
	"antwort/shared/translate"
)

// generation is what a server makes of one configuration.
type generation struct {
	cfg       *config.Config
	endpoints endpoints

	translator *translate.Translator
	decider    *policy.Decider
	fields     map[string]string // that decisions depend on, as net/http writes their names
	pools      *dispatch.Pools
	access     *policy.Access  // nil: everybody may call
	tokens     *token.Verifier // nil: callers have API keys, or nothing
	trusted    trustedProxies
	retired    context.Context // ends when another configuration is in force
	retire     context.CancelFunc

	*Server
}

// newGeneration makes the generation of a configuration. It goes on with what
// the one before has, which may be nil.
func (s *Server) newGeneration(cfg *config.Config, before *generation) (*generation, error) {
	if before == nil {
		before = &generation{}
	}
	if err := s.checkBackends(cfg); err != nil {
		return nil, err
	}
	pools, err := s.dispatcher.Pools(cfg, before.pools)
	if err != nil {
		return nil, err
	}
	g := &generation{cfg: cfg, pools: pools, Server: s}
	g.access = policy.NewAccess(cfg)
	if g.tokens, err = g.newTokens(before.tokens); err != nil {
		return nil, err
	}
	if g.trusted, err = newTrustedProxies(cfg.Server.TrustedProxies); err != nil {
		return nil, fmt.Errorf("server.trusted_proxies: %w", err)
	}
	g.decider = policy.NewDecider(cfg, policy.Tier{Decodes: true})
	g.fields = map[string]string{"content-type": "Content-Type", "content-encoding": "Content-Encoding"}
	for _, route := range cfg.AllRoutes() {
		for _, h := range route.Match.Headers {
			g.fields[h.Name] = http.CanonicalHeaderKey(h.Name)
		}
	}
	g.translator = translate.New(translate.OptionsOf(cfg))
	g.endpoints = g.newEndpoints()
	g.retired, g.retire = context.WithCancel(s.ending)
	return g, nil
}
