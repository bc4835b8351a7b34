package server

import (
	"encoding/json"

	"antwort/server/balance"

	"github.com/prometheus/client_golang/prometheus"
)

// routeStatus is what the operator sees of a route.
type routeStatus struct {
	Name     string          `json:"name"`
	Provider string          `json:"provider"`
	Balance  string          `json:"balance"`
	Backends []backendStatus `json:"backends"`
}

type backendStatus struct {
	URL      string  `json:"url"`
	State    string  `json:"state"` // well, half-open or ejected
	Weight   int     `json:"weight"`
	Priority int     `json:"priority"`
	Active   int     `json:"requests_in_flight"`
	Failures int     `json:"failures_in_a_row"`
	Left     float64 `json:"ejected_for_seconds,omitempty"` // from now on
}

// backendsJSON is the state of all backends of the configuration in force, as
// JSON.
func (s *Server) backendsJSON() []byte {
	all := []routeStatus{}
	s.eachPool(func(pool *pool, states []balance.Status) {
		route := routeStatus{Name: pool.Name, Provider: string(pool.provider), Balance: pool.Balance}
		for _, b := range states {
			route.Backends = append(route.Backends, backendStatus{
				b.Name, b.State.String(), b.Weight, b.Priority, b.Active, b.Failures, b.Left.Seconds()})
		}
		all = append(all, route)
	})
	text, err := json.MarshalIndent(map[string]any{"routes": all}, "", "  ")
	if err != nil {
		panic(err) // there is nothing in it that has no JSON
	}
	return append(text, '\n')
}

func (s *Server) eachPool(visit func(*pool, []balance.Status)) {
	if g := s.inForce.Load(); g != nil {
		for _, pool := range g.pools {
			visit(pool, pool.group.Status())
		}
	}
}

// backendGauges are read from the balancers when somebody asks.
type backendGauges struct {
	server          *Server
	inFlight, state *prometheus.Desc
}

func newBackendGauges(s *Server) *backendGauges {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"route", "backend"}, nil)
	}
	return &backendGauges{s,
		desc("backend_requests_in_flight", "Requests and streams that a backend has at the moment."),
		desc("backend_state", "0: takes requests; 1: takes one at a time after an ejection; 2: ejected."),
	}
}

func (g *backendGauges) Describe(out chan<- *prometheus.Desc) {
	out <- g.inFlight
	out <- g.state
}

func (g *backendGauges) Collect(out chan<- prometheus.Metric) {
	g.server.eachPool(func(p *pool, states []balance.Status) {
		for _, s := range states {
			out <- prometheus.MustNewConstMetric(g.inFlight, prometheus.GaugeValue, float64(s.Active), p.Name, s.Name)
			out <- prometheus.MustNewConstMetric(g.state, prometheus.GaugeValue, float64(s.State), p.Name, s.Name)
		}
	})
}
