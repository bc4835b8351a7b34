package server

import (
	"context"
	"net/http"
	"time"

	"antwort/server/token"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// newTokens is what verifies tokens, nil when nobody is asked for one. It may
// share its keys with the one before.
func (g *generation) newTokens(before *token.Verifier) (*token.Verifier, error) {
	if !g.access.ByToken() {
		return nil, nil
	}
	return token.New(&g.cfg.Auth.JWT, g.access, before, token.Options{Log: g.log, Now: time.Now})
}

func (g *generation) startTokens() {
	if g.tokens != nil {
		g.tokens.Start()
	}
}

func (g *generation) stopTokens() {
	if g.tokens != nil {
		g.tokens.Stop()
	}
}

// awaitTokens starts what the server before does not have, once it has keys:
// without them a changed configuration would let nobody in.
func (g *generation) awaitTokens(ctx context.Context, before *generation) error {
	if g.tokens == nil || g.tokens.Shares(before.tokens) {
		return nil
	}
	if err := g.tokens.Await(ctx); err != nil {
		g.tokens.Stop()
		return err
	}
	g.tokens.Start()
	return nil
}

// identify finds out who sent a request. cause is more about the error for the
// log.
func (g *generation) identify(r *http.Request) (caller *policy.Identity, refused *responses.Error, cause error) {
	if g.tokens != nil {
		return g.tokens.Identify(r.Context(), r.Header["Authorization"], r.Header["X-Api-Key"])
	}
	caller, refused = g.access.Identify(r.Header["Authorization"], r.Header["X-Api-Key"])
	return caller, refused, nil
}
