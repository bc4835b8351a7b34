package process

import (
	"maps"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
)

// Reloads counts changed configurations.
type Reloads struct{ applied, refused prometheus.Counter }

// NewReloads registers the counters, whose names begin with the registerer's
// prefix.
func NewReloads(r prometheus.Registerer) *Reloads {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "config_reloads_total",
		Help: "Changed configurations, by whether they were taken."}, []string{"result"})
	r.MustRegister(c)
	return &Reloads{c.WithLabelValues("applied"), c.WithLabelValues("refused")}
}

// RegisterBuildInfo registers the gauge that says what is running: the version of
// this program, Go's, and more.
func RegisterBuildInfo(r prometheus.Registerer, version string, more prometheus.Labels) {
	labels := prometheus.Labels{"version": version, "go": runtime.Version()}
	maps.Copy(labels, more)
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "build_info", Help: "Versions; always 1.", ConstLabels: labels})
	info.Set(1)
	r.MustRegister(info)
}
