// Package dispatch sends requests to the backends of routes: it chooses one,
// sends again what a further attempt may mend, and says what a failure upstream
// means for the client.
//
//	Call ─► Send ─┬─ choose ─► to backend ─► answer ─► consume ─► done
//	              └──────────── again ◄───────┘
//
// Requests for a route enter, as Calls that say how often and to whom they may be
// sent; answers go to the function that consumes them. It knows neither clients nor
// what is in a body.
package dispatch

import (
	"log/slog"
	"sync/atomic"
	"time"

	"antwort/shared/config"

	"github.com/prometheus/client_golang/prometheus"
)

// Dispatcher is what the pools of all configurations of one process have in
// common.
type Dispatcher struct {
	log       *slog.Logger
	hop       string // the process's mark, see policy.Hop
	now       func() time.Time
	metrics   *metrics
	contacted atomic.Bool // some backend has answered
}

// New makes a dispatcher. now tells the time for dates of Retry-After, hop is the
// process's mark in its own requests.
func New(log *slog.Logger, now func() time.Time, hop string, reg prometheus.Registerer) *Dispatcher {
	return &Dispatcher{log: log, now: now, hop: hop, metrics: newMetrics(reg)}
}

// Contacted reports whether any backend has answered yet.
func (d *Dispatcher) Contacted() bool { return d.contacted.Load() }

// Pools are where the requests of one configuration go.
type Pools struct {
	*Dispatcher
	all   []*Pool // by route
	retry config.Retry
}

// All are the pools of all routes, in their order.
func (ps *Pools) All() []*Pool { return ps.all }

// Route is the pool of a route, by its index in config.AllRoutes.
func (ps *Pools) Route(i int) *Pool { return ps.all[i] }
