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
func (s *Server) newTokens(before *token.Verifier) (*token.Verifier, error) {
	if !s.access.ByToken() {
		return nil, nil
	}
	return token.New(&s.cfg.Auth.JWT, s.access, before, token.Options{Log: s.log, Now: time.Now})
}

func (s *Server) startTokens() {
	if s.tokens != nil {
		s.tokens.Start()
	}
}

func (s *Server) stopTokens() {
	if s.tokens != nil {
		s.tokens.Stop()
	}
}

// awaitTokens starts what the server before does not have, once it has keys:
// without them a changed configuration would let nobody in.
func (s *Server) awaitTokens(ctx context.Context, before *Server) error {
	if s.tokens == nil || s.tokens.Shares(before.tokens) {
		return nil
	}
	if err := s.tokens.Await(ctx); err != nil {
		s.tokens.Stop()
		return err
	}
	s.tokens.Start()
	return nil
}

// identify finds out who sent a request. cause is more about the error for the
// log.
func (s *Server) identify(r *http.Request) (caller *policy.Identity, refused *responses.Error, cause error) {
	if s.tokens != nil {
		return s.tokens.Identify(r.Context(), r.Header["Authorization"], r.Header["X-Api-Key"])
	}
	caller, refused = s.access.Identify(r.Header["Authorization"], r.Header["X-Api-Key"])
	return caller, refused, nil
}
