package dispatch

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"antwort/server/balance"
	"antwort/server/upstream"
	"antwort/shared/config"

	"github.com/prometheus/client_golang/prometheus"
)

// Pool is where the requests of one route of the configuration go.
type Pool struct {
	config.Route
	Provider config.Provider
	Renames  bool // some backend has another name for a model

	from      *Pools
	group     *balance.Group // of backends, in their order
	backends  []*Backend
	contacted atomic.Bool // any of them was there once
}

// Backend is one of a pool's.
type Backend struct {
	config.Backend
	Authorization string // for it, "" when there is no key

	client  *upstream.Client
	maxIdle int
	models  atomic.Pointer[map[string]bool] // that it lists; nil: not known

	requests prometheus.Counter
	ejected  prometheus.Counter
}

// upstreamIdle is how long an unused upstream connection is kept: less than
// the 5 s after which uvicorn, and so vLLM, closes it, possibly under a request.
const upstreamIdle = 4 * time.Second

// Pools makes the pools of all routes of a configuration. They go on with the
// connections and the state of before, which may be nil, where a route still has
// the same backend.
func (d *Dispatcher) Pools(cfg *config.Config, before *Pools) (*Pools, error) {
	ps := &Pools{Dispatcher: d, retry: cfg.Engine.Retry}
	for _, route := range cfg.AllRoutes() {
		p, old := &Pool{Route: route, Provider: route.Backends[0].Provider, from: ps}, before.named(route.Name)
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
			next := &Backend{
				Backend: b, client: client, maxIdle: cfg.Engine.MaxIdleConnections,
				requests: d.metrics.requests.WithLabelValues(route.Name, b.URL),
				ejected:  d.metrics.ejected.WithLabelValues(route.Name, b.URL),
			}
			if b.APIKey.IsSet() {
				next.Authorization = "Bearer " + b.APIKey.Reveal()
			}
			p.backends = append(p.backends, next)
			p.Renames = p.Renames || b.Model != ""
			members = append(members, balance.Backend{Name: b.URL, Weight: b.Weight, Priority: b.Priority, Max: b.MaxRequests})
		}
		var state *balance.Group
		if old != nil {
			state = old.group
			// An upstream that was there before: its outage is told as one.
			p.contacted.Store(old.contacted.Load())
		}
		p.group = balance.New(members, opt, state)
		ps.all = append(ps.all, p)
	}
	return ps, nil
}

// named returns the pool of the route of a name, nil without one.
func (ps *Pools) named(name string) *Pool {
	if ps != nil {
		for _, p := range ps.all {
			if p.Name == name {
				return p
			}
		}
	}
	return nil
}

// client is the one that p, which may be nil, has for b already, or a new one.
func (p *Pool) client(b config.Backend, maxIdle int) (*upstream.Client, error) {
	if p != nil {
		for _, old := range p.backends {
			if old.URL == b.URL && old.ConnectTimeout == b.ConnectTimeout && old.maxIdle == maxIdle &&
				old.Protocol == b.Protocol && old.Transport == b.Transport && old.TLS == b.TLS {
				return old.client, nil
			}
		}
	}
	proxy, err := upstream.ProxyFor(b.URL)
	if err != nil {
		return nil, err
	}
	return upstream.New(b.URL, upstream.Options{
		Transport:      transports[b.Transport],
		ConnectTimeout: b.ConnectTimeout, IdleTimeout: upstreamIdle, MaxIdle: maxIdle,
		Files: upstream.Files{CA: b.TLS.CAFile, Cert: b.TLS.CertFile, Key: b.TLS.KeyFile, ServerName: b.TLS.ServerName},
		HTTP2: b.Protocol == config.HTTP2,
		Proxy: proxy,
	})
}

var transports = map[string]upstream.Transport{config.AutoTransport: upstream.Auto, config.OwnTransport: upstream.Own, config.StdTransport: upstream.Std}

// CloseIdle closes the unused connections to backends that are not in next, which
// may be nil.
func (ps *Pools) CloseIdle(next *Pools) {
	kept := make(map[*upstream.Client]bool)
	if next != nil {
		for _, p := range next.all {
			for _, b := range p.backends {
				kept[b.client] = true
			}
		}
	}
	for _, p := range ps.all {
		for _, b := range p.backends {
			if !kept[b.client] {
				b.client.CloseIdle()
			}
		}
	}
}

// Status is what the balancer knows of the backends, in their order.
func (p *Pool) Status() []balance.Status { return p.group.Status() }

// Knows reports whether a model is one of few names: the route has it, or the
// backend lists it.
func (p *Pool) Knows(b *Backend, model string) bool {
	names := b.models.Load()
	return names != nil && (*names)[model] || slices.Contains(p.Match.Models, model)
}
