package server

import (
	"fmt"
	"sync/atomic"
	"time"

	"antwort/server/balance"
	"antwort/server/upstream"
	"antwort/shared/config"

	"github.com/prometheus/client_golang/prometheus"
)

// pool is where the requests of one route of the configuration go.
type pool struct {
	config.Route
	provider  config.Provider
	group     *balance.Group // of backends, in their order
	backends  []*backend
	renames   bool        // some backend has another name for a model
	contacted atomic.Bool // any of them was there once
}

// backend is one of a pool's.
type backend struct {
	config.Backend
	client  *upstream.Client
	maxIdle int
	auth    string                          // Authorization for it, "" when there is no key
	models  atomic.Pointer[map[string]bool] // that it has, for labels; nil: not known

	requests  prometheus.Counter
	ejections prometheus.Counter
}

// upstreamIdle is how long an unused upstream connection is kept: less than
// the 5 s after which uvicorn, and so vLLM, closes it, possibly under a request.
const upstreamIdle = 4 * time.Second

// newPools makes the pools of all routes, in their order. They go on with the
// connections and the state of before, which may be nil, where a route still has
// the same backend.
func newPools(cfg *config.Config, m *metrics, before []*pool) ([]*pool, error) {
	var pools []*pool
	for _, route := range cfg.AllRoutes() {
		p, old := &pool{Route: route, provider: route.Backends[0].Provider}, poolNamed(before, route.Name)
		opt := balance.Options{
			EjectAfter:   cfg.Routing.EjectAfter,
			EjectTime:    cfg.Routing.EjectTime,
			MaxEjectTime: cfg.Routing.MaxEjectTime,
		}
		if route.Balance == config.Affinity {
			opt.MaxLoadPercent = route.MaxLoad
		}
		var members []balance.Backend
		for _, b := range route.Backends {
			client, err := old.client(b, cfg.Engine.MaxIdleConnections)
			if err != nil {
				return nil, fmt.Errorf("route %s: backend %s: %w", route.Name, b.URL, err)
			}
			next := &backend{
				Backend: b, client: client, maxIdle: cfg.Engine.MaxIdleConnections,
				requests:  m.backendRequests.WithLabelValues(route.Name, b.URL),
				ejections: m.ejections.WithLabelValues(route.Name, b.URL),
			}
			if b.APIKey.IsSet() {
				next.auth = "Bearer " + b.APIKey.Reveal()
			}
			p.backends = append(p.backends, next)
			p.renames = p.renames || b.Model != ""
			members = append(members, balance.Backend{Name: b.URL, Weight: b.Weight, Priority: b.Priority})
		}
		var state *balance.Group
		if old != nil {
			state = old.group
			// An upstream that was there before: its outage is told as one.
			p.contacted.Store(old.contacted.Load())
		}
		p.group = balance.New(members, opt, state)
		pools = append(pools, p)
	}
	return pools, nil
}

func poolNamed(pools []*pool, name string) *pool {
	for _, p := range pools {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// client is the one that p, which may be nil, has for b already, or a new one.
func (p *pool) client(b config.Backend, maxIdle int) (*upstream.Client, error) {
	if p != nil {
		for _, old := range p.backends {
			if old.URL == b.URL && old.ConnectTimeout == b.ConnectTimeout && old.maxIdle == maxIdle {
				return old.client, nil
			}
		}
	}
	return upstream.New(b.URL, upstream.Options{ConnectTimeout: b.ConnectTimeout, IdleTimeout: upstreamIdle, MaxIdle: maxIdle})
}

// closeIdle closes the unused connections to backends that are not in next.
func (g *generation) closeIdle(next []*pool) {
	kept := make(map[*upstream.Client]bool)
	for _, p := range next {
		for _, b := range p.backends {
			kept[b.client] = true
		}
	}
	for _, p := range g.pools {
		for _, b := range p.backends {
			if !kept[b.client] {
				b.client.CloseIdle()
			}
		}
	}
}
