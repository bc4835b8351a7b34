package envoy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"antwort/server/envoy/render"
	"antwort/server/self"
	"antwort/shared/config"
)

// plan is a configuration as Envoy is given it.
type plan struct {
	cfg        *config.Config
	options    render.Options
	files      map[string]render.File
	material   material          // what the configuration names files for
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
	if err := self.Check(cfg, cfg.Server.Host, cfg.Server.Port); err != nil {
		return nil, err
	}
	p := &plan{cfg: cfg, variables: variables}
	var err error
	if p.material, err = readMaterial(cfg); err != nil {
		return nil, err
	}
	g.plans++ // what Envoy refused has had its number too
	var editions map[string]render.Edition
	if before != nil {
		p.generation = before.generation
		if !slices.EqualFunc(variables, before.variables, sameVariable) {
			p.generation = g.plans
		}
		if editions, err = render.NextEditions(before.cfg, cfg, before.options.Supervised.Editions, g.plans); err != nil {
			return nil, err
		}
	}
	p.options = render.Options{
		Module: g.path(moduleFile),
		Admin:  g.path(adminSocket),
		Supervised: &render.Supervised{
			Folder: g.folder, Control: g.path(controlSocket), Upstream: g.path(upstreamSocket), Generation: p.generation, Editions: editions,
			Certificate: p.material.certificate, Key: p.material.key, JWKS: p.material.jwks, Backends: p.material.backends,
		},
	}
	if callsHTTPS(cfg) {
		if p.options.Roots, err = roots(); err != nil {
			return nil, err
		}
	}
	p.files, err = render.Files(cfg, p.options)
	return p, err
}

// callsHTTPS reports whether anything that Envoy asks has a certificate.
func callsHTTPS(cfg *config.Config) bool {
	if strings.HasPrefix(cfg.Auth.JWT.JWKSURL, "https:") {
		return true
	}
	for _, route := range cfg.AllRoutes() {
		for _, b := range route.Backends {
			if strings.HasPrefix(b.URL, "https:") {
				return true
			}
		}
	}
	return false
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
var subscriptions = []subscription{clusters, certificate, tokens, plugin, routes, listeners}

type subscription struct{ file, stat string }

var (
	clusters    = subscription{render.ClustersFile, "cluster_manager.cds"}
	certificate = subscription{render.CertificateFile, "sds.server"}
	tokens      = subscription{render.TokensFile, "extension_config_discovery.http_filter.envoy.filters.http.jwt_authn"}
	plugin      = subscription{render.PluginFile, "extension_config_discovery.http_filter.antwort"}
	routes      = subscription{render.RoutesFile, "http.api.rds.api"}
	listeners   = subscription{render.ListenersFile, "listener_manager.lds"}
)

// changeTime is how long Envoy may take to use a changed file; a new VM takes
// seconds, on a busy machine many.
const changeTime = 2 * time.Minute

// apply brings a running Envoy from one plan to the next. When Envoy refuses a
// part, it keeps what it had there and gets the old files back.
func (g *gateway) apply(ctx context.Context, before, next *plan) error {
	at := maps.Clone(before.files) // what Envoy has
	err := g.bring(ctx, at, before, next)
	if err == nil {
		return nil
	}
	// A filter that may have the keys of next goes back as it came.
	if at[plugin.file].Version != before.files[plugin.file].Version && g.bring(ctx, at, next, before) == nil {
		return err
	}
	return errors.Join(err, g.restore(before))
}

// bring takes Envoy, which has the files at, from one plan to another.
//
// While the filter changes, Envoy has the routes and clusters of both plans: the
// filter names the route of each request, and must find the one that it names.
func (g *gateway) bring(ctx context.Context, at map[string]render.File, before, next *plan) error {
	ctx, cancel := context.WithTimeoutCause(ctx, changeTime, fmt.Errorf("envoy does not take it within %s", changeTime))
	defer cancel()
	between, routesFirst, err := render.Between(before.cfg, before.options, next.cfg, next.options)
	if err != nil {
		return err
	}
	give := func(s subscription, f render.File) error {
		had, known := at[s.file]
		if f.Version == had.Version {
			return nil
		}
		at[s.file] = f
		if !known { // nobody asks for it before the listener does
			return g.put(s.file, f)
		}
		return g.give(ctx, s, f)
	}
	if routesFirst {
		err = give(routes, between[render.RoutesFile])
	}
	if err == nil {
		err = give(clusters, between[render.ClustersFile])
	}
	if err == nil {
		g.warm(ctx)
		err = give(routes, between[render.RoutesFile])
	}
	for _, s := range []subscription{certificate, tokens, plugin, routes, listeners, clusters} {
		if f, has := next.files[s.file]; has && err == nil {
			err = give(s, f)
		}
	}
	return err
}

// give hands one file to Envoy and waits until it is used.
func (g *gateway) give(ctx context.Context, s subscription, f render.File) error {
	refused, err := g.admin.number(ctx, s.stat+".update_rejected")
	if err != nil {
		return err
	}
	if err := g.put(s.file, f); err != nil {
		return err
	}
	return g.await(ctx, s.stat, f.Version, refused)
}

// warmTime is how long the names of new backends may take to be found, and their
// health to be asked for. Requests need not wait for those who do not answer.
const warmTime = 15 * time.Second

// warm waits until Envoy knows the backends of new clusters: until then it has
// no use for them.
func (g *gateway) warm(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, warmTime)
	defer cancel()
	for {
		if warming, err := g.admin.number(ctx, "cluster_manager.warming_clusters"); err == nil && warming == 0 {
			return
		}
		if !sleep(ctx, pollInterval) {
			return
		}
	}
}

// restore gives Envoy the files of a plan.
func (g *gateway) restore(p *plan) error {
	for _, s := range subscriptions {
		f, has := p.files[s.file]
		if !has {
			continue
		}
		if err := g.put(s.file, f); err != nil {
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
