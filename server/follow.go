package server

import (
	"context"
	"errors"
	"time"

	"antwort/shared/config"
)

// followInterval is how often the configuration is read again. That takes well
// under a millisecond, and sees every way of changing a file: editors, renames,
// and the links of a mounted ConfigMap.
const followInterval = time.Second

// Follow takes over what load returns whenever that has changed, until ctx
// ends. A bad configuration changes nothing; what is wrong with it is logged
// once.
func (s *Server) Follow(ctx context.Context, load func() (*config.Config, error)) {
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	var refused string // problem that was logged last
	current := s.inForce.Load()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		cfg, err := load()
		if err == nil && cfg.Equal(current.cfg) {
			if refused != "" {
				s.log.Info("the configuration is again the one in force")
			}
			refused = ""
			continue
		}
		var next *generation
		if err == nil {
			next, err = current.with(ctx, cfg)
		}
		if err != nil {
			if err.Error() != refused {
				refused = err.Error()
				s.log.Error("the changed configuration is wrong, the old one stays in force", "problem", refused)
			}
			continue
		}
		refused = ""
		s.inForce.Store(next)
		current.retire()
		next.contact(ctx)
		// What is in flight goes on with the old one.
		current.pools.CloseIdle(next.pools)
		current.callers.Stop(next.callers)
		current = next
		s.log.Info("the changed configuration is in force", "provider", string(cfg.Engine.Provider), "backend_url", cfg.Engine.BackendURL, "routes", len(cfg.Routes))
	}
}

// with is the generation of another configuration.
func (g *generation) with(ctx context.Context, cfg *config.Config) (*generation, error) {
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
	old, now := g.cfg.Server, cfg.Server
	if old.Host != now.Host || old.Port != now.Port || old.ReadHeaderTimeout != now.ReadHeaderTimeout ||
		old.IdleTimeout != now.IdleTimeout || old.MaxHeaderBytes != now.MaxHeaderBytes || old.TLS.On() != now.TLS.On() || old.Admin != now.Admin || g.cfg.Observability.Log != cfg.Observability.Log {
		g.log.Warn("server.host, port, read_header_timeout, idle_timeout, max_header_bytes, admin, TLS or not, and observability.log: a change takes effect at the next start")
	}
	return next, nil
}
