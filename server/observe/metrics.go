package observe

import (
	"net/http"
	"strconv"

	"antwort/shared/failure"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are about exchanges, under the prefix antwort_. Labels take few values:
// endpoints, statuses, kinds, and models that somebody has configured or lists.
type metrics struct {
	handler http.Handler
	all     *prometheus.Registry
	own     prometheus.Registerer // with the prefix
	genai   *genai

	requests   *prometheus.CounterVec   // endpoint, code
	duration   *prometheus.HistogramVec // endpoint, stream
	firstEvent prometheus.Observer
	inFlight   prometheus.Gauge
	streams    prometheus.Gauge
	tokens     *prometheus.CounterVec // model, kind
	failures   *prometheus.CounterVec // kind
	panics     prometheus.Counter
	dropped    prometheus.Counter
}

// buckets reach from a cached answer to a long thought, in seconds.
var buckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}

func newMetrics(provider string) *metrics {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	own := prometheus.WrapRegistererWithPrefix("antwort_", prometheus.WrapRegistererWith(prometheus.Labels{"provider": provider}, reg))
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		own.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		own.MustRegister(g)
		return g
	}
	m := &metrics{
		all:      reg,
		own:      own,
		genai:    newGenAI(reg, provider),
		handler:  promhttp.HandlerFor(reg, promhttp.HandlerOpts{}),
		requests: counter("requests_total", "Requests answered, by endpoint and status (499: the client left first).", "endpoint", "code"),
		tokens:   counter("tokens_total", "Tokens that the upstream counted, by model and kind.", "model", "kind"),
		failures: counter("failures_total", "Requests that went wrong, by kind.", "kind"),
		inFlight: gauge("requests_in_flight", "Requests that are being answered."),
		streams:  gauge("streams_in_flight", "Streamed answers that are being written."),
	}
	m.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "request_duration_seconds",
		Help: "Time from a request's header to the end of its answer.", Buckets: buckets}, []string{"endpoint", "stream"})
	first := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "first_event_seconds",
		Help: "Time from a request's header to the first event of a streamed answer.", Buckets: buckets})
	panics := counter("panics_total", "Panics of handlers; each failed one request only.")
	own.MustRegister(m.duration, first)
	dropped := counter("dropped_tools_total", "Requests of which tools were left out (translation.unsupported_tools).")
	m.firstEvent, m.panics, m.dropped = first, panics.WithLabelValues(), dropped.WithLabelValues()
	return m
}

// count counts a finished exchange.
func (m *metrics) count(r *Record) {
	defer m.inFlight.Dec() // whoever sees no more of them sees all that is counted
	m.requests.WithLabelValues(r.Endpoint, strconv.Itoa(r.Status)).Inc()
	m.duration.WithLabelValues(r.Endpoint, strconv.FormatBool(r.Streamed)).Observe(r.took.Seconds())
	if r.Failure != failure.None {
		m.failures.WithLabelValues(r.Failure.String()).Inc()
	}
	if r.DroppedTools != "" {
		m.dropped.Inc()
	}
	if r.FirstEvent > 0 {
		m.firstEvent.Observe(r.FirstEvent.Seconds())
	}
	model := "other"
	if r.Known {
		model = r.Model
	}
	if r.Operation != "" {
		m.genai.count(r, model)
	}
	if !r.Outcome.HasUsage {
		return
	}
	u := &r.Outcome.Usage
	m.tokens.WithLabelValues(model, "input").Add(float64(max(0, u.Input)))
	m.tokens.WithLabelValues(model, "input_cached").Add(float64(max(0, u.Cached)))
	m.tokens.WithLabelValues(model, "output").Add(float64(max(0, u.Output)))
	m.tokens.WithLabelValues(model, "output_reasoning").Add(float64(max(0, u.Reasoning)))
}
