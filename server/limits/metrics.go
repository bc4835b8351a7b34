package limits

import "github.com/prometheus/client_golang/prometheus"

// metrics are about limits. Rules are those of the configuration.
type metrics struct {
	refusals *prometheus.CounterVec // rule, limit
}

func newMetrics(reg prometheus.Registerer, counters func() int) *metrics {
	m := &metrics{prometheus.NewCounterVec(prometheus.CounterOpts{Name: "limit_refusals_total",
		Help: "Requests that were refused by a limit, by rule of the configuration and what it limits."}, []string{"rule", "limit"})}
	reg.MustRegister(m.refusals, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "limit_counters",
		Help: "Counters that the process keeps, one for each rule and whom it counts apart."}, func() float64 { return float64(counters()) }))
	return m
}
