package envoy

import (
	"maps"
	"slices"

	"antwort/shared/config"
)

// A key is for the backends that it was given for, and so is what the provider makes of a
// request. The filter does both and Envoy chooses the backend, and the two change one
// after the other.

// rekeyed reports whether the key of before is another one than now.
func (p *pool) rekeyed(before *pool) bool {
	old := before.Backends[0].APIKey
	return old.IsSet() && old.Reveal() != p.Backends[0].APIKey.Reveal()
}

// moved reports whether the pool has other backends than before.
func (p *pool) moved(before *pool) bool {
	return !slices.EqualFunc(before.backends, p.backends, func(a, b backend) bool { return a == b })
}

// named is the pool of a route, nil when there is none.
func named(pools []pool, route string) *pool {
	i := slices.IndexFunc(pools, func(p pool) bool { return p.Name == route })
	if i < 0 {
		return nil
	}
	return &pools[i]
}

// NextEditions are those after a change. A route whose backends are not to see a
// key of before, or are other ones for another provider or by another path, gets another cluster: a request whose body is still coming keeps
// the filter and the routes of before for as long as that takes, and these lead
// to the old cluster, or to none. So it is with one that leaves and may return.
// fresh is a number that no edition had.
func NextEditions(before, next *config.Config, editions map[string]Edition, fresh int) (map[string]Edition, error) {
	old, err := pools(before, nil)
	if err != nil {
		return nil, err
	}
	now, err := pools(next, nil)
	if err != nil {
		return nil, err
	}
	all := map[string]Edition{}
	maps.Copy(all, editions)
	for i := range old {
		was := &old[i]
		p, edition := named(now, was.Name), all[was.Name]
		if p == nil {
			edition.Rekeyed = edition.Rekeyed || was.Backends[0].APIKey.IsSet()
		} else {
			edition.Rekeyed = edition.Rekeyed || p.rekeyed(was)
		}
		otherwise := before.Engine.Provider != next.Engine.Provider || p != nil && p.backends[0].base != was.backends[0].base
		if (edition.Rekeyed || otherwise) && (p == nil || p.moved(was)) {
			edition = Edition{Number: fresh}
		}
		all[was.Name] = edition
	}
	return all, nil
}
