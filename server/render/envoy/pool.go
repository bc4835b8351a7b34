package envoy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"antwort/shared/config"
)

// pool is a route of the configuration with its backends: a cluster of Envoy's.
type pool struct {
	config.Route
	cluster  string
	statName string // of the cluster, "": its name
	backends []backend
	closed   bool  // while a change is under way: nobody is let through
	before   *pool // while provider and backends change: what it was, for the other provider
	most     int   // requests at once; 0: any number
}

// isDefault is the route of engine.backend_url, which needs no name.
func (p *pool) isDefault() bool { return p.Name == config.DefaultRoute }

func (p *pool) several() bool { return len(p.backends) > 1 }

// silence is how long nothing may come on a stream. Envoy has one time for both
// waits, the one for the header and the one between two events.
func (p *pool) silence() time.Duration {
	return max(p.Backends[0].ResponseTimeout, p.Backends[0].StreamIdleTimeout)
}

// unweighted reports whether all backends are to have the same share.
func (p *pool) unweighted() bool {
	for _, b := range p.Backends {
		if b.Weight != p.Backends[0].Weight {
			return false
		}
	}
	return true
}

// priorities are Envoy's, which have no gaps: the places of the backends, by
// priority.
func (p *pool) priorities() [][]int {
	places := map[int][]int{}
	for i, b := range p.Backends {
		places[b.Priority] = append(places[b.Priority], i)
	}
	var all [][]int
	for _, priority := range slices.Sorted(maps.Keys(places)) {
		all = append(all, places[priority])
	}
	return all
}

// An Edition is what a route's cluster has been. The zero Edition is a first one.
type Edition struct {
	Number int // in its name, 0: none
	// Rekeyed says that its backends have had another key, which requests that
	// have begun may still bring.
	Rekeyed bool
}

// pools are those of all routes, the default one last, with clusters of these
// editions.
func pools(c *config.Config, editions map[string]Edition) ([]pool, error) {
	var all []pool
	for i, route := range c.AllRoutes() {
		p := pool{Route: route, cluster: "route-" + route.Name}
		path := "routes[" + strconv.Itoa(i) + "].backends"
		if p.isDefault() {
			p.cluster = backendCluster
		}
		if n := editions[route.Name].Number; n > 0 {
			p.cluster, p.statName = p.cluster+"."+strconv.Itoa(n), p.cluster
		}
		for j := range route.Backends {
			at := path + "[" + strconv.Itoa(j) + "]"
			key := at + ".url"
			if p.isDefault() {
				key = "engine.backend_url"
			}
			b, err := parseBackend(route.Backends[j].URL)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			b.files, b.http2 = route.Backends[j].TLS, route.Backends[j].Protocol == config.HTTP2
			if err := alike(at, &route.Backends[0], &route.Backends[j], &b, &p); err != nil {
				return nil, err
			}
			p.backends = append(p.backends, b)
		}
		all = append(all, p)
	}
	return all, bound(all, c.Limits.MaxRequests)
}

// alike refuses what the backends of one cluster must have in common.
func alike(at string, first, b *config.Backend, place *backend, p *pool) error {
	differs := func(key string) error {
		return fmt.Errorf("%s.%s: Envoy has one for all backends of a route, and another one is given above: make a route of each", at, key)
	}
	switch {
	case len(p.backends) > 0 && place.base != p.backends[0].base:
		return fmt.Errorf("%s.url: Envoy has one base path for all backends of a route, and the first one's is %q: make a route of each", at, p.backends[0].base)
	case b.ConnectTimeout != first.ConnectTimeout:
		return differs("connect_timeout")
	case b.ResponseTimeout != first.ResponseTimeout:
		return differs("response_timeout")
	case b.StreamIdleTimeout != first.StreamIdleTimeout:
		return differs("stream_idle_timeout")
	case b.Protocol != first.Protocol:
		return differs("protocol")
	case place.http2 && len(p.backends) > 0 && place.tls != p.backends[0].tls:
		return fmt.Errorf("%s.url: Envoy speaks HTTP/2 to all backends of a route in TLS, or to all in clear: make a route of each", at)
	}
	return nil
}
