package dispatch

import "github.com/prometheus/client_golang/prometheus"

// metrics count attempts. Routes and backends are those of the configuration,
// kinds and reasons are few.
type metrics struct {
	errors   *prometheus.CounterVec // kind
	retries  *prometheus.CounterVec // reason
	requests *prometheus.CounterVec // route, backend
	failures *prometheus.CounterVec // route, backend, kind
	ejected  *prometheus.CounterVec // route, backend
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	return &metrics{
		errors:   counter("upstream_errors_total", "Failed attempts upstream, by kind; an attempt may be retried.", "kind"),
		retries:  counter("upstream_retries_total", "Attempts upstream after the first, by the reason.", "reason"),
		requests: counter("backend_requests_total", "Attempts at a backend, by route and backend of the configuration.", "route", "backend"),
		failures: counter("backend_failures_total", "Failed attempts at a backend, by kind as in upstream_errors_total.", "route", "backend", "kind"),
		ejected:  counter("backend_ejections_total", "How often a backend was left out for a while.", "route", "backend"),
	}
}

// gauges are read from the balancers when somebody asks.
type gauges struct {
	inForce         func() *Pools
	inFlight, state *prometheus.Desc
}

// NewGauges returns the metrics about the backends of the pools in force.
func NewGauges(inForce func() *Pools) prometheus.Collector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"route", "backend"}, nil)
	}
	return &gauges{inForce,
		desc("backend_requests_in_flight", "Requests and streams that a backend has at the moment."),
		desc("backend_state", "0: takes requests; 1: takes one at a time after an ejection; 2: ejected."),
	}
}

func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	out <- g.inFlight
	out <- g.state
}

func (g *gauges) Collect(out chan<- prometheus.Metric) {
	ps := g.inForce()
	if ps == nil {
		return
	}
	for _, p := range ps.all {
		for _, s := range p.Status() {
			out <- prometheus.MustNewConstMetric(g.inFlight, prometheus.GaugeValue, float64(s.Active), p.Name, s.Name)
			out <- prometheus.MustNewConstMetric(g.state, prometheus.GaugeValue, float64(s.State), p.Name, s.Name)
		}
	}
}
