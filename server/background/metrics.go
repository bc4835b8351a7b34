package background

import "github.com/prometheus/client_golang/prometheus"

// metrics are about jobs. No label tells an owner.
type metrics struct{ recovered prometheus.Counter }

func newMetrics(w *Workers, r prometheus.Registerer) *metrics {
	m := &metrics{prometheus.NewCounter(prometheus.CounterOpts{Name: "background_recovered_total",
		Help: "Responses in the background that this process took over from one that had left them."})}
	if r == nil {
		return m
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	r.MustRegister(m.recovered,
		gauge("background_queued", "Responses in the background that nobody works on, in all processes with this store, within the last seconds.",
			func() float64 { return float64(w.queued.Load()) }),
		gauge("background_running", "Responses in the background that this process works on.", func() float64 {
			w.mu.Lock()
			defer w.mu.Unlock()
			return float64(len(w.running))
		}))
	return m
}
