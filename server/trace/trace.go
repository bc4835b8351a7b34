// Package trace makes one trace of what becomes of a request: a span for its exchange,
// and one for each attempt at a backend, by OpenTelemetry's conventions for generative
// AI.
//
//	traceparent ─► Begin ─► Span ─┬─ Try ─► traceparent for the backend ─► TryFailed, TryAnswered
//	                              └─ End ◄─ what is known of the exchange
//	                                  └─► queue ─► OTLP
//
// An exchange enters by the context that came with it, and its span goes with it to its
// end. Nothing comes back but the context for whoever is asked next: what is traced
// decides nothing, and nobody waits for it. What people write is in no span, unless the
// configuration says so.
package trace

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"antwort/server/otlp"
	"antwort/shared/config"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otel "go.opentelemetry.io/otel/trace"
)

// Options are what a tracer takes from its surroundings.
type Options struct {
	Client     *otlp.Client
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Version    string
}

// Tracer makes the spans of a process. It is safe for concurrent use; nil makes none.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   otel.Tracer
	root     atomic.Pointer[sdk.Sampler] // of requests without a trace of their own
	capture  atomic.Int64                // bytes of what a request and its answer say
}

// scope names the instrumentation.
const scope = "antwort"

// New makes the tracer of a process, which must be closed. It contacts nobody yet.
func New(cfg *config.Config, opt Options) (*Tracer, error) {
	o := &cfg.Observability.OTLP
	about, err := Resource(o.ServiceName, opt.Version)
	if err != nil {
		return nil, err
	}
	t := &Tracer{}
	t.Use(cfg)
	t.provider = sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithSampler(sdk.ParentBased(t)), sdk.WithSpanProcessor(newQueue(o, opt)), sdk.WithRawSpanLimits(sdk.SpanLimits{
		AttributeValueLengthLimit: -1, AttributeCountLimit: -1, EventCountLimit: 0, LinkCountLimit: 8, AttributePerEventCountLimit: 0, AttributePerLinkCountLimit: 0,
	}))
	t.tracer = t.provider.Tracer(scope, otel.WithInstrumentationVersion(opt.Version))
	return t, nil
}

// Resource is what all that a process sends says of it: its name and version, and what
// OTEL_RESOURCE_ATTRIBUTES adds.
func Resource(name, version string) (*resource.Resource, error) {
	r, err := resource.New(context.Background(),
		resource.WithAttributes(attribute.String("service.name", name), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return r, nil
}

// Use takes over what another configuration says of tracing that needs no restart.
func (t *Tracer) Use(cfg *config.Config) {
	if t == nil {
		return
	}
	sampler := sdk.TraceIDRatioBased(float64(cfg.Observability.Tracing.SampleRatio) / 1e6)
	t.root.Store(&sampler)
	t.capture.Store(cfg.Observability.Capture)
}

// ShouldSample decides for requests without a trace of their own.
func (t *Tracer) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	return (*t.root.Load()).ShouldSample(p)
}

// Description is for people.
func (t *Tracer) Description() string { return (*t.root.Load()).Description() }

// Close sends what waits, within ctx.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}
