package envoyrun

import (
	"context"

	"antwort/server/process"
	"antwort/shared/config"
)

// follow takes over changed configurations, until ctx ends.
func (g *gateway) follow(ctx context.Context) {
	f := process.Follower{
		Load: g.opt.Load, Asked: g.opt.Reload, Command: config.Envoy, Log: g.log, Reloads: g.control.reloads,
		Current: func() *config.Config { return g.current().cfg },
		Stays:   func(cfg *config.Config) bool { return g.current().material.stays(cfg) },
		Apply:   g.change,
	}
	f.Follow(ctx)
}

// change makes next the configuration in force.
func (g *gateway) change(ctx context.Context, next *config.Config) error {
	before := g.current()
	if err := before.cfg.StaysClosed(next); err != nil {
		return err
	}
	if err := portsAreFree(before.cfg, next); err != nil {
		return err
	}
	p, err := g.plan(next, before)
	if err != nil {
		return err
	}
	if err := g.apply(ctx, before, p); err != nil {
		return err
	}
	g.inForce.Store(p)
	return nil
}
