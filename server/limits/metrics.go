package limits

import "github.com/prometheus/client_golang/prometheus"

// metrics are about limits. Rules are those of the configuration.
type metrics struct {
	refusals *prometheus.CounterVec // rule, limit
	failures *prometheus.CounterVec // result
	lost     prometheus.Counter
	up       prometheus.Gauge
}

// lose counts what was never settled.
func (m *metrics) lose(n int) { m.lost.Add(float64(n)) }

// What becomes of a request that cannot be counted.
const (
	passed  = "passed"
	refused = "refused"
)

func newMetrics(reg prometheus.Registerer, counters func() int) *metrics {
	m := &metrics{refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "limit_refusals_total",
		Help: "Requests that were refused by a limit, by rule of the configuration and what it limits."}, []string{"rule", "limit"})}
	m.failures = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "limit_store_failures_total",
		Help: "Requests that could not be counted, by what became of them: passed or refused (limits.on_failure)."}, []string{"result"})
	m.lost = prometheus.NewCounter(prometheus.CounterOpts{Name: "limit_settlements_lost_total",
		Help: "Requests whose tokens stay counted as they were reserved, as the store could not be reached."})
	m.up = prometheus.NewGauge(prometheus.GaugeOpts{Name: "limit_store_up", Help: "1 while the store of limits can be reached."})
	m.up.Set(1)
	for _, result := range [...]string{passed, refused} {
		m.failures.WithLabelValues(result)
	}
	reg.MustRegister(m.refusals, m.failures, m.lost, m.up, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "limit_counters",
		Help: "Counters that the process keeps, one for each rule and whom it counts apart."}, func() float64 { return float64(counters()) }))
	return m
}
