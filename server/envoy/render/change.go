package render

import (
	"maps"
	"slices"

	"antwort/shared/config"
)

// A key is for the backends that it was given for. The filter puts it in and Envoy
// chooses the backend, and the two change one after the other.

// moved reports whether the pool has other backends than before, and those of
// before had a key that these are not to see.
func (p *pool) moved(before *pool) bool {
	old, key := before.Backends[0].APIKey, p.Backends[0].APIKey
	return old.IsSet() && old.Reveal() != key.Reveal() &&
		!slices.EqualFunc(before.backends, p.backends, func(a, b backend) bool { return a == b })
}

// named is the pool of a route, nil when there is none.
func named(pools []pool, route string) *pool {
	i := slices.IndexFunc(pools, func(p pool) bool { return p.Name == route })
	if i < 0 {
		return nil
	}
	return &pools[i]
}

// NextEditions are those after a change. A route whose backends are not to see the
// key of before gets another cluster: a request whose body is still coming keeps
// the filter and the routes of before for as long as that takes, and these lead
// to the old cluster, or to none. So it is with one that leaves and may return.
// fresh is a number that no edition had.
func NextEditions(before, next *config.Config, editions map[string]int, fresh int) (map[string]int, error) {
	old, err := pools(before, nil)
	if err != nil {
		return nil, err
	}
	now, err := pools(next, nil)
	if err != nil {
		return nil, err
	}
	all := maps.Clone(editions)
	for i := range old {
		p := named(now, old[i].Name)
		if p == nil && old[i].Backends[0].APIKey.IsSet() || p != nil && p.moved(&old[i]) {
			if all == nil {
				all = map[string]int{}
			}
			all[old[i].Name] = fresh
		}
	}
	return all, nil
}

// Between are the clusters and routes while a change from one configuration to
// another is under way: those of both, so that a request finds its way whichever
// of them the filter has. Where a route's backends and their key both change, new
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
	r.translated = before.Engine.Provider == config.VLLM
	for i := range old {
		p := named(r.pools, old[i].Name)
		switch {
		case p == nil:
			r.leaving = append(r.leaving, old[i])
		case p.moved(&old[i]):
			p.closed, routesFirst = true, true
			r.replaced = append(r.replaced, old[i])
		}
	}
	all, err := r.files()
	if err != nil {
		return nil, false, err
	}
	return map[string]File{ClustersFile: all[ClustersFile], RoutesFile: all[RoutesFile]}, routesFirst, nil
}
