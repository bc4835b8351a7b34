package trace

import (
	"context"
	"log/slog"
	"sync/atomic"

	"antwort/server/otlp"
	"antwort/shared/config"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
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
	size    int  // of the last message; likewise

	sent, failed, dropped prometheus.Counter
}

// batch is how many spans are sent at once at most.
const batch = 512

func newQueue(o *config.OTLP, opt Options) *queue {
	spans := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "trace_spans_total",
		Help: "Spans that have ended, by what became of them: sent, failed (nobody took them in time) or dropped (too many waited)."}, []string{"result"})
	q := &queue{
		client: opt.Client, log: opt.Log, room: int64(o.Queue),
		sent: spans.WithLabelValues("sent"), failed: spans.WithLabelValues("failed"), dropped: spans.WithLabelValues("dropped"),
	}
	opt.Registerer.MustRegister(spans, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "trace_spans_waiting",
		Help: "Spans that wait to be sent."}, func() float64 { return float64(q.waiting.Load()) }))
	q.SpanProcessor = sdk.NewBatchSpanProcessor(exporter{q},
		sdk.WithMaxQueueSize(o.Queue), sdk.WithMaxExportBatchSize(min(batch, o.Queue)), sdk.WithBatchTimeout(o.Interval), sdk.WithExportTimeout(o.Timeout))
	return q
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

// exporter sends what the SDK's processor gives it.
type exporter struct{ q *queue }

// ExportSpans sends spans, in as many messages as they need. Its failure is told here,
// not to the SDK.
func (e exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	defer e.q.waiting.Add(int64(-len(spans)))
	for len(spans) > 0 {
		n := together(spans)
		e.q.send(ctx, spans[:n])
		spans = spans[n:]
	}
	return nil
}

// messageBytes is how long a message may get about: many who take them refuse 4 MiB.
const messageBytes = 3 << 20

// together is how many of the first spans make one message.
func together(spans []sdk.ReadOnlySpan) int {
	size := 0
	for i, s := range spans {
		size += 1 << 10
		for _, kv := range s.Attributes() {
			if kv.Value.Type() == attribute.STRING {
				size += len(kv.Value.AsString())
			}
		}
		if size > messageBytes && i > 0 {
			return i
		}
	}
	return len(spans)
}

func (q *queue) send(ctx context.Context, spans []sdk.ReadOnlySpan) {
	sent := appendRequest(make([]byte, 0, q.size), spans) // a connection may read it for longer than Send
	q.size = len(sent)
	refused, err := q.client.Send(ctx, otlp.Traces, sent)
	if err != nil {
		refused = len(spans)
	}
	q.failed.Add(float64(refused))
	q.sent.Add(float64(len(spans) - refused))
	switch lost := err != nil; {
	case lost && !q.lost:
		q.log.Warn("traces cannot be sent: they are dropped until this is mended", "endpoint", "observability.otlp.endpoint", "problem", err.Error())
	case !lost && q.lost:
		q.log.Info("traces are sent again")
	case refused > 0:
		q.log.Warn("some spans were refused", "spans", refused)
	}
	q.lost = err != nil
}

// Shutdown lets go of connections.
func (e exporter) Shutdown(context.Context) error {
	e.q.client.Close()
	return nil
}
