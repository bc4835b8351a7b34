package envoy

import (
	"context"
	"time"

	"antwort/shared/config"
)

// followInterval is how often the configuration is read again. Reading it takes
// well under a millisecond, and it sees every way of changing a file and the
// files of secrets: editors, renames, and the links of a mounted ConfigMap.
const followInterval = time.Second

// follow takes over changed configurations, until ctx ends. A bad one changes
// nothing; what is wrong with it is logged once.
func (g *gateway) follow(ctx context.Context) {
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	var refused string // problem that was logged last
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		next, err := g.opt.Load()
		if err == nil && next.Equal(g.current().cfg) && g.current().material.stays(next) {
			if refused != "" {
				g.log.Info("the configuration is again the one in force")
			}
			refused = ""
			continue
		}
		if err == nil {
			err = g.change(ctx, next)
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			refused = ""
			continue
		}
		if err.Error() != refused {
			refused = err.Error()
			g.control.reloads.WithLabelValues(reloadRefused).Inc()
			g.log.Error("the changed configuration is wrong, the old one stays in force", "problem", refused)
		}
	}
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
	g.control.reloads.WithLabelValues(reloadApplied).Inc()
	g.log.Info("the changed configuration is in force", "provider", string(next.Engine.Provider), "backend_url", next.Engine.BackendURL)
	if next.Observability.Log != before.cfg.Observability.Log {
		g.log.Warn("observability.log: a change of the log takes effect at the next start")
	}
	return nil
}
