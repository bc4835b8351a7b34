package observe

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Totals are what the metrics of the API's endpoints add up to since the start, without
// probes.
type Totals struct {
	Requests, Failures float64
	Input, Output      float64 // tokens
	FirstEvent         Spread
	Duration           Spread

	InFlight, Streams float64 // at the moment
}

// Spread is a histogram: how many fell into each of Buckets, each without those before.
type Spread [17]float64

// Buckets are the upper bounds of a Spread's parts, in seconds; the last part has none.
func Buckets() []float64 { return buckets }

// Totals reads the metrics. It is for who looks once a second, not for each request.
func (o *Observer) Totals() (t Totals) {
	m := o.metrics
	each(m.requests, func(d *dto.Metric) {
		if isAPI(d) {
			t.Requests += d.GetCounter().GetValue()
		}
	})
	each(m.failures, func(d *dto.Metric) { t.Failures += d.GetCounter().GetValue() })
	each(m.tokens, func(d *dto.Metric) {
		switch n := d.GetCounter().GetValue(); label(d, "kind") {
		case "input":
			t.Input += n
		case "output":
			t.Output += n
		}
	})
	each(m.duration, func(d *dto.Metric) {
		if isAPI(d) {
			t.Duration.add(d)
		}
	})
	if c, is := m.firstEvent.(prometheus.Collector); is {
		each(c, t.FirstEvent.add)
	}
	each(m.inFlight, func(d *dto.Metric) { t.InFlight = d.GetGauge().GetValue() })
	each(m.streams, func(d *dto.Metric) { t.Streams = d.GetGauge().GetValue() })
	return t
}

// add counts a histogram in, whose buckets each have those before.
func (s *Spread) add(d *dto.Metric) {
	h := d.GetHistogram()
	before := 0.
	for i, b := range h.GetBucket() {
		if i < len(s)-1 {
			n := float64(b.GetCumulativeCount())
			s[i] += n - before
			before = n
		}
	}
	s[len(s)-1] += float64(h.GetSampleCount()) - before
}

// each calls do with every metric of a collector.
func each(c prometheus.Collector, do func(*dto.Metric)) {
	found := make(chan prometheus.Metric, 16)
	go func() {
		c.Collect(found)
		close(found)
	}()
	for m := range found {
		var d dto.Metric
		if m.Write(&d) == nil {
			do(&d)
		}
	}
}

// isAPI reports whether a metric is about an endpoint that clients use.
func isAPI(d *dto.Metric) bool {
	name := label(d, "endpoint")
	return strings.HasPrefix(name, "/v1/") || name == "unknown"
}

func label(d *dto.Metric, name string) string {
	for _, l := range d.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}
