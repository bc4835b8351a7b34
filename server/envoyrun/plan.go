package envoyrun

import (
	"slices"
	"strings"

	"antwort/server/render/envoy"
	"antwort/server/self"
	"antwort/shared/config"
)

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
	var editions map[string]envoy.Edition
	if before != nil {
		p.generation = before.generation
		if !slices.EqualFunc(variables, before.variables, sameVariable) {
			p.generation = g.plans
		}
		if editions, err = envoy.NextEditions(before.cfg, cfg, before.options.Supervised.Editions, g.plans); err != nil {
			return nil, err
		}
	}
	p.options = envoy.Options{
		Module:  g.path(moduleFile),
		Admin:   g.path(adminSocket),
		Workers: g.opt.Workers,
		Supervised: &envoy.Supervised{
			Folder: g.folder, Control: g.path(controlSocket), Upstream: g.path(upstreamSocket), Generation: p.generation, Editions: editions,
			Keeps:       keeps(g.opt.EnvoyVersion),
			Certificate: p.material.certificate, Key: p.material.key, JWKS: p.material.jwks, Backends: p.material.backends,
		},
	}
	if callsHTTPS(cfg) {
		if p.options.Roots, err = roots(); err != nil {
			return nil, err
		}
	}
	p.files, err = envoy.Files(cfg, p.options)
	return p, err
}

// callsHTTPS reports whether anything that Envoy asks has a certificate.
func callsHTTPS(cfg *config.Config) bool {
	if strings.HasPrefix(cfg.Auth.JWT.JWKSURL, "https:") || strings.HasPrefix(cfg.Limits.Service, "https:") {
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
