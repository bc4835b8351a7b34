package envoyrun

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	"antwort/server/render/envoy"
)

// put writes one file, in one step: Envoy never reads half of it.
func (g *gateway) put(name string, f envoy.File) error {
	fresh := g.path(name + ".new")
	if err := os.WriteFile(fresh, f.JSON, 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, g.path(name))
}

// subscriptions are Envoy's names of the files' statistics, in the order of a
// change: each may need the one before it.
var subscriptions = []subscription{clusters, certificate, tokens, plugin, limits, sharedLimits, routes, listeners}

type subscription struct{ file, stat string }

var (
	clusters     = subscription{envoy.ClustersFile, "cluster_manager.cds"}
	certificate  = subscription{envoy.CertificateFile, "sds.server"}
	tokens       = subscription{envoy.TokensFile, "extension_config_discovery.http_filter.envoy.filters.http.jwt_authn"}
	plugin       = subscription{envoy.PluginFile, "extension_config_discovery.http_filter.antwort"}
	limits       = subscription{envoy.LimitsFile, "extension_config_discovery.http_filter.envoy.filters.http.local_ratelimit"}
	sharedLimits = subscription{envoy.SharedLimitsFile, "extension_config_discovery.http_filter.envoy.filters.http.ratelimit"}
	routes       = subscription{envoy.RoutesFile, "http.api.rds.api"}
	listeners    = subscription{envoy.ListenersFile, "listener_manager.lds"}
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
func (g *gateway) bring(ctx context.Context, at map[string]envoy.File, before, next *plan) error {
	ctx, cancel := context.WithTimeoutCause(ctx, changeTime, fmt.Errorf("envoy does not take it within %s", changeTime))
	defer cancel()
	between, routesFirst, err := envoy.Between(before.cfg, before.options, next.cfg, next.options)
	if err != nil {
		return err
	}
	give := func(s subscription, f envoy.File) error {
		had, known := at[s.file]
		if f.Version == had.Version {
			return nil
		}
		at[s.file] = f
		if !known { // nobody asks for it before the listener does
			return g.put(s.file, f)
		}
		return g.giveFile(ctx, s, f)
	}
	if routesFirst {
		err = give(routes, between[envoy.RoutesFile])
	}
	if err == nil {
		err = give(clusters, between[envoy.ClustersFile])
	}
	if err == nil {
		g.warm(ctx)
		err = give(routes, between[envoy.RoutesFile])
	}
	for _, s := range []subscription{certificate, tokens, plugin, limits, sharedLimits, routes, listeners, clusters} {
		if f, has := next.files[s.file]; has && err == nil {
			err = give(s, f)
		}
	}
	return err
}

// giveFile hands one file to Envoy and waits until it is used.
func (g *gateway) giveFile(ctx context.Context, s subscription, f envoy.File) error {
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
