package observe

import (
	"context"
	"log/slog"
	"time"

	"antwort/shared/failure"
	"antwort/shared/policy"
)

// write writes the line of an exchange.
func (o *Observer) write(r *Record) {
	level := slog.LevelInfo
	switch {
	case r.Quiet:
		level = slog.LevelDebug
	case r.Status >= 500 || r.Failure != failure.None && r.Status < 400:
		level = slog.LevelWarn
	}
	ctx := context.Background()
	if !o.log.Enabled(ctx, level) {
		return
	}
	var room [22]slog.Attr
	attrs := append(room[:0],
		slog.String("request_id", r.ID),
		slog.String("method", policy.Clip(r.Method, 32)),
		slog.String("path", policy.Clip(r.Path, 256)),
		slog.Int("status", r.Status),
		slog.Float64("duration_ms", milliseconds(r.took)),
		slog.Int64("bytes", r.Sent))
	if r.Client.IsValid() {
		attrs = append(attrs, slog.String("client", r.Client.String()))
	}
	if r.Caller != nil {
		attrs = append(attrs, slog.String("subject", r.Caller.Subject))
		if r.Caller.Tenant != "" {
			attrs = append(attrs, slog.String("tenant", r.Caller.Tenant))
		}
	}
	if r.Model != "" {
		attrs = append(attrs, slog.String("model", policy.Clip(r.Model, 256)))
	}
	if r.Backend != "" {
		attrs = append(attrs, slog.String("route", r.Route), slog.String("backend", r.Backend))
	}
	if r.Streamed {
		attrs = append(attrs, slog.Bool("stream", true))
	}
	if r.FirstEvent > 0 {
		attrs = append(attrs, slog.Float64("first_event_ms", milliseconds(r.FirstEvent)))
	}
	if o := &r.Outcome; o.HasUsage {
		attrs = append(attrs, slog.Int64("input_tokens", o.Usage.Input), slog.Int64("output_tokens", o.Usage.Output))
	}
	if r.DroppedTools != "" {
		attrs = append(attrs, slog.String("dropped_tools", r.DroppedTools))
	}
	if r.Retries > 0 {
		attrs = append(attrs, slog.Int("retries", r.Retries))
	}
	if r.Failure != failure.None {
		attrs = append(attrs, slog.String("failure", r.Failure.String()))
	}
	if id := r.Span.TraceID(); id != "" {
		attrs = append(attrs, slog.String("trace_id", id))
	}
	if r.Limit != "" {
		attrs = append(attrs, slog.String("limit", r.Limit))
	}
	if r.Cause != nil {
		attrs = append(attrs, slog.String("cause", policy.Clip(r.Cause.Error(), 512)))
	}
	o.log.LogAttrs(ctx, level, "request", attrs...)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
