package envoy

import "antwort/shared/config"

// Between are the clusters and routes while a change from one configuration to
// another is under way: those of both, so that a request finds its way whichever
// of them the filter has. Where the provider and a route's backends both change, the path
// says which of them a request is for. Where its backends and their key both change, new
// requests are refused meanwhile: routesFirst says so.
func Between(before *config.Config, was Options, next *config.Config, o Options) (files map[string]File, routesFirst bool, err error) {
	r, err := newRenderer(next, o)
	if err != nil {
		return nil, false, err
	}
	old, err := pools(before, was.Supervised.Editions)
	if err != nil {
		return nil, false, err
	}
	r.was = before.Engine.Provider
	for i := range old {
		p := named(r.pools, old[i].Name)
		if p == nil {
			r.leaving = append(r.leaving, old[i])
			continue
		}
		if p.cluster != old[i].cluster {
			r.replaced = append(r.replaced, old[i])
		}
		switch moved := p.moved(&old[i]); {
		case moved && p.rekeyed(&old[i]):
			p.closed, routesFirst = true, true
		case moved && before.Engine.Provider != next.Engine.Provider:
			p.before = &old[i]
		}
	}
	all, err := r.files()
	if err != nil {
		return nil, false, err
	}
	return map[string]File{ClustersFile: all[ClustersFile], RoutesFile: all[RoutesFile]}, routesFirst, nil
}
