package server

import (
	"context"
	"errors"

	"antwort/server/process"
	"antwort/shared/config"
)

// Follow takes over what load returns whenever that has changed, until ctx ends.
// A bad configuration changes nothing.
func (s *Server) Follow(ctx context.Context, load func() (*config.Config, error)) {
	f := process.Follower{
		Load: load, Asked: s.reload, Command: config.Serve, Log: s.log, Reloads: s.reloads,
		Current: func() *config.Config { return s.inForce.Load().cfg },
		Apply:   s.change,
	}
	f.Follow(ctx)
}

// change makes the generation of another configuration the one in force. What is
// in flight goes on with the old one. When it returns an error nothing has
// changed.
func (s *Server) change(ctx context.Context, cfg *config.Config) error {
	old := s.inForce.Load()
	next, err := old.next(ctx, cfg)
	if err != nil {
		return err
	}
	s.inForce.Store(next)
	old.retire()
	next.contact(ctx)
	old.pools.CloseIdle(next.pools)
	old.callers.Stop(next.callers)
	return nil
}

// next is the generation of another configuration, ready to be in force.
func (g *generation) next(ctx context.Context, cfg *config.Config) (*generation, error) {
	if cfg.Engine.Provider != g.cfg.Engine.Provider {
		return nil, errors.New("engine.provider: a change needs a restart")
	}
	if err := g.cfg.StaysClosed(cfg); err != nil {
		return nil, err
	}
	next, err := newGeneration(g.common, cfg, g)
	if err != nil {
		return nil, err
	}
	if err := next.callers.Succeed(ctx, g.callers); err != nil {
		next.retire()
		return nil, err
	}
	return next, nil
}
