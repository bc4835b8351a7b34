package trace

import (
	"strings"

	"antwort/server/otlp"
	"antwort/shared/config"

	dto "github.com/prometheus/client_model/go"
)

// Export makes what sends what is observed where the configuration says so: the tracer,
// which must be closed, and what sends the metrics that gather has. Both are nil where
// nothing is sent. opt needs no client. Nobody is contacted yet.
func Export(cfg *config.Config, opt Options, gather func() ([]*dto.MetricFamily, error)) (*Tracer, *otlp.Pusher, error) {
	o := &cfg.Observability.OTLP
	if o.Endpoint == "" {
		return nil, nil, nil
	}
	var err error
	if opt.Client, err = otlp.New(o, opt.Version); err != nil {
		return nil, nil, err
	}
	t, err := New(cfg, opt)
	if err != nil || o.MetricsInterval == 0 {
		return t, nil, err
	}
	about, err := Resource(o.ServiceName, opt.Version)
	if err != nil {
		return nil, nil, err
	}
	return t, &otlp.Pusher{Client: opt.Client, Gather: gather, Resource: about.Attributes(), Interval: o.MetricsInterval, Log: opt.Log}, nil
}

// Operation is what a request to an endpoint, by its path at a backend, is to a model;
// "" where nothing is generated.
func Operation(path string) string {
	switch rest, _ := strings.CutPrefix(path, "/v1/"); rest {
	case "chat/completions", "responses", "responses/compact":
		return "chat"
	case "completions":
		return "text_completion"
	case "embeddings":
		return "embeddings"
	}
	return ""
}
