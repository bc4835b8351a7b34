package trace

import (
	"context"
	"log/slog"
	"sync/atomic"

	"antwort/server/otlp"
	"antwort/shared/config"

	"github.com/prometheus/client_golang/prometheus"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// queue has the spans that wait to be sent. The processor of the SDK behind it sends them
// together; what finds no room, or is not taken, is counted and forgotten.
type queue struct {
	sdk.SpanProcessor
	client  *otlp.Client
	log     *slog.Logger
	room    int64
	waiting atomic.Int64
	lost    bool // the last were not taken: said once; of the processor's goroutine

	sent, failed, dropped prometheus.Counter
}

func newQueue(o *config.OTLP, opt Options) *queue {
	spans := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "trace_spans_total",
		Help: "Spans that have ended, by what became of them: sent, failed (nobody took them in time) or dropped (too many waited)."}, []string{"result"})
	q := &queue{
		client: opt.Client, log: opt.Log, room: int64(o.Queue),
		sent: spans.WithLabelValues("sent"), failed: spans.WithLabelValues("failed"), dropped: spans.WithLabelValues("dropped"),
	}
	opt.Registerer.MustRegister(spans, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "trace_spans_waiting",
		Help: "Spans that wait to be sent."}, func() float64 { return float64(q.waiting.Load()) }))
	return q
}

// batch is how many spans are sent at once at most.
const batch = 512

// pass lets the SDK's processor send by the exporter.
func (q *queue) pass(exporter sdk.SpanExporter, o *config.OTLP) {
	q.SpanProcessor = sdk.NewBatchSpanProcessor(exported{q, exporter},
		sdk.WithMaxQueueSize(o.Queue), sdk.WithMaxExportBatchSize(min(batch, o.Queue)), sdk.WithBatchTimeout(o.Interval), sdk.WithExportTimeout(o.Timeout))
}

// OnEnd lets a span in, if there is room.
func (q *queue) OnEnd(s sdk.ReadOnlySpan) {
	if q.waiting.Add(1) > q.room {
		q.waiting.Add(-1)
		q.dropped.Inc()
		return
	}
	q.SpanProcessor.OnEnd(s)
}

// exported counts what is sent.
type exported struct {
	q *queue
	sdk.SpanExporter
}

// ExportSpans sends spans. Its failure is told here, not to the SDK.
func (e exported) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	q := e.q
	defer q.waiting.Add(int64(-len(spans)))
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		q.failed.Add(float64(len(spans)))
	} else {
		q.sent.Add(float64(len(spans)))
	}
	if lost := err != nil; lost != q.lost {
		if q.lost = lost; lost {
			q.log.Warn("traces cannot be sent: they are dropped until this is mended", "endpoint", "observability.otlp.endpoint", "problem", err.Error())
		} else {
			q.log.Info("traces are sent again")
		}
	}
	return nil
}

// Start, Stop and UploadTraces make the queue what the SDK's exporter sends with.

// Start has nothing to do.
func (q *queue) Start(context.Context) error { return nil }

// Stop lets go of connections.
func (q *queue) Stop(context.Context) error {
	q.client.Close()
	return nil
}

// UploadTraces sends spans: TracesData is what OTLP's request is, byte for byte.
func (q *queue) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	message, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	rejected, err := q.client.Send(ctx, otlp.Traces, message)
	if rejected > 0 {
		q.log.Warn("some spans were refused", "spans", rejected)
	}
	return err
}
