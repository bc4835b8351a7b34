package observe

import (
	"sync"

	"antwort/shared/failure"

	"github.com/prometheus/client_golang/prometheus"
)

// genai are the metrics of OpenTelemetry's conventions for generative AI, under their own
// names. Operations are few, and models those that somebody has configured or lists.
type genai struct {
	duration *prometheus.HistogramVec // operation, model, error
	first    *prometheus.HistogramVec // operation, model
	perToken *prometheus.HistogramVec // operation, model
	tokens   *prometheus.HistogramVec // operation, model, type

	series sync.Map // of *series by kindOf, so that a request looks them up once
}

// series are those of an operation with a model.
type series struct{ duration, first, perToken, input, output prometheus.Observer }

type kindOf struct{ operation, model string }

// Labels of the conventions, as Prometheus writes them.
const (
	operationLabel = "gen_ai_operation_name"
	providerLabel  = "gen_ai_provider_name"
	modelLabel     = "gen_ai_request_model"
	typeLabel      = "gen_ai_token_type"
	errorLabel     = "error_type"
)

func newGenAI(reg prometheus.Registerer, provider string) *genai {
	reg = prometheus.WrapRegistererWith(prometheus.Labels{providerLabel: provider}, reg)
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, append([]string{operationLabel, modelLabel}, labels...))
		reg.MustRegister(h)
		return h
	}
	return &genai{ // the buckets are the conventions'
		duration: histogram("gen_ai_server_request_duration_seconds", "Time from a request's header to the end of its answer.",
			[]float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}, errorLabel),
		first: histogram("gen_ai_server_time_to_first_token_seconds", "Time from a request's header to the first token of a streamed answer.",
			[]float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}),
		perToken: histogram("gen_ai_server_time_per_output_token_seconds", "Time for each token of a streamed answer after the first one.",
			[]float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5}),
		tokens: histogram("gen_ai_client_token_usage", "Tokens of a request and of its answer, as the upstream counted them.",
			[]float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}, typeLabel),
	}
}

// of finds the series of an operation with a model.
func (g *genai) of(operation, model string) *series {
	if s, ok := g.series.Load(kindOf{operation, model}); ok {
		return s.(*series)
	}
	s := &series{
		duration: g.duration.WithLabelValues(operation, model, ""), first: g.first.WithLabelValues(operation, model), perToken: g.perToken.WithLabelValues(operation, model),
		input: g.tokens.WithLabelValues(operation, model, "input"), output: g.tokens.WithLabelValues(operation, model, "output"),
	}
	g.series.Store(kindOf{operation, model}, s)
	return s
}

// count counts a finished exchange that has asked a model, or would have.
func (g *genai) count(r *Record, model string) {
	s := g.of(r.Operation, model)
	if r.Failure == failure.None {
		s.duration.Observe(r.took.Seconds())
	} else {
		g.duration.WithLabelValues(r.Operation, model, r.Failure.String()).Observe(r.took.Seconds())
	}
	if r.FirstToken > 0 {
		s.first.Observe(r.FirstToken.Seconds())
	}
	if !r.Outcome.HasUsage {
		return
	}
	u := &r.Outcome.Usage
	s.input.Observe(float64(max(0, u.Input)))
	s.output.Observe(float64(max(0, u.Output)))
	if r.FirstToken > 0 && r.Failure == failure.None && u.Output > 1 {
		s.perToken.Observe((r.took - r.FirstToken).Seconds() / float64(u.Output-1))
	}
}
