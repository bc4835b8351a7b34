package envoy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"antwort/server/envoy/render"
	"antwort/shared/config"
)

// plan is a configuration as Envoy is given it.
type plan struct {
	cfg        *config.Config
	files      map[string]render.File
	generation int               // of the filter's VM
	variables  []config.Variable // of the filter's VM
}

// plan renders a configuration. before is the plan that is in force, nil for
// the first. Its error is the user's to mend.
func (g *gateway) plan(cfg *config.Config, before *plan) (*plan, error) {
	filter, variables := cfg.ForFilter()
	if err := filter.ValidateFilter(); err != nil {
		return nil, err
	}
	p := &plan{cfg: cfg, variables: variables}
	if before != nil {
		p.generation = before.generation
		if !slices.EqualFunc(variables, before.variables, sameVariable) {
			p.generation++
		}
	}
	opt := render.Options{
		Module: g.path(moduleFile),
		Admin:  g.path(adminSocket),
		Supervised: &render.Supervised{
			Folder: g.folder, Control: g.path(controlSocket), Upstream: g.path(upstreamSocket), Generation: p.generation,
		},
	}
	var err error
	if strings.HasPrefix(cfg.Engine.BackendURL, "https:") {
		if opt.Roots, err = roots(); err != nil {
			return nil, err
		}
	}
	p.files, err = render.Files(cfg, opt)
	return p, err
}

func sameVariable(a, b config.Variable) bool {
	return a.Name == b.Name && a.Value.Reveal() == b.Value.Reveal()
}

// put writes one file, in one step: Envoy never reads half of it.
func (g *gateway) put(name string, f render.File) error {
	fresh := g.path(name + ".new")
	if err := os.WriteFile(fresh, f.JSON, 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, g.path(name))
}

// subscriptions are Envoy's names of the files' statistics, in the order of a
// change: each may need the one before it.
var subscriptions = []struct{ file, stat string }{
	{render.ClustersFile, "cluster_manager.cds"},
	{render.PluginFile, "extension_config_discovery.http_filter.antwort"},
	{render.RoutesFile, "http.api.rds.api"},
	{render.ListenersFile, "listener_manager.lds"},
}

// changeTime is how long Envoy may take to use a changed file; a new VM takes
// seconds, on a busy machine many.
const changeTime = 2 * time.Minute

// apply brings a running Envoy from one plan to the next. When Envoy refuses a
// part, it keeps what it had there and gets the old files back.
func (g *gateway) apply(ctx context.Context, before, next *plan) error {
	ctx, cancel := context.WithTimeoutCause(ctx, changeTime, fmt.Errorf("envoy does not take it within %s", changeTime))
	defer cancel()
	for _, s := range subscriptions {
		f := next.files[s.file]
		if f.Version == before.files[s.file].Version {
			continue
		}
		refused, err := g.admin.number(ctx, s.stat+".update_rejected")
		if err != nil {
			return err
		}
		if err := g.put(s.file, f); err != nil {
			return err
		}
		if err := g.await(ctx, s.stat, f.Version, refused); err != nil {
			return errors.Join(err, g.restore(before))
		}
	}
	return nil
}

// restore gives Envoy the files of a plan.
func (g *gateway) restore(p *plan) error {
	for _, s := range subscriptions {
		if err := g.put(s.file, p.files[s.file]); err != nil {
			return err
		}
	}
	return nil
}

// pollInterval is how often Envoy is asked how far it is: it announces nothing.
const pollInterval = 50 * time.Millisecond

// await returns when Envoy uses this version. refused is how often it has
// refused one before.
func (g *gateway) await(ctx context.Context, stat, version string, refused uint64) error {
	for {
		at, err := g.admin.text(ctx, stat+".version_text")
		if err == nil && at == version {
			return nil
		}
		if now, err := g.admin.number(ctx, stat+".update_rejected"); err == nil && now > refused {
			return fmt.Errorf("envoy refused its %s: the warning above says why", stat)
		}
		if !sleep(ctx, pollInterval) {
			return context.Cause(ctx)
		}
	}
}

// sleep reports whether d has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
