package otlp

import (
	"context"
	"log/slog"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/attribute"
	"google.golang.org/protobuf/encoding/protowire"
)

// Pusher sends the metrics of a process again and again.
type Pusher struct {
	Client   *Client
	Gather   func() ([]*dto.MetricFamily, error)
	Resource []attribute.KeyValue // what is said of the process
	Interval time.Duration
	Log      *slog.Logger
}

// Start sends until stop is called, which sends for the last time, within last. A nil one
// sends nothing.
func (p *Pusher) Start(last time.Duration) (stop func()) {
	if p == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx, last)
	}()
	return func() {
		cancel()
		<-done
	}
}

// Run sends until ctx ends, and once more then, within last.
func (p *Pusher) Run(ctx context.Context, last time.Duration) {
	began, failing := time.Now(), false
	push := func(ctx context.Context) {
		err := p.push(ctx, began)
		switch {
		case err != nil && !failing:
			p.Log.Warn("metrics cannot be sent", "endpoint", "observability.otlp.endpoint", "problem", err.Error())
		case err == nil && failing:
			p.Log.Info("metrics are sent again")
		}
		failing = err != nil
	}
	tick := time.NewTicker(p.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			push(ctx)
		case <-ctx.Done():
			final, cancel := context.WithTimeout(context.WithoutCancel(ctx), last)
			defer cancel()
			push(final)
			return
		}
	}
}

func (p *Pusher) push(ctx context.Context, began time.Time) error {
	families, err := p.Gather()
	if err != nil {
		return err
	}
	message := p.append(nil, families, began, time.Now())
	_, err = p.Client.Send(ctx, Metrics, message)
	return err
}

// cumulative says that what is counted is so since the beginning.
const cumulative = 2

// append appends what was gathered, as OTLP has it (opentelemetry/proto/metrics/v1), since
// began. The numbers are those of the fields.
func (p *Pusher) append(b []byte, families []*dto.MetricFamily, began, now time.Time) []byte {
	return AppendMessage(b, 1, func(b []byte) []byte {
		b = AppendMessage(b, 1, func(b []byte) []byte {
			for _, kv := range p.Resource {
				b = appendAttribute(b, 1, string(kv.Key), kv.Value.String())
			}
			return b
		})
		return AppendMessage(b, 2, func(b []byte) []byte {
			b = AppendMessage(b, 1, func(b []byte) []byte { return AppendText(b, 1, "antwort") })
			for _, f := range families {
				if form(f.GetType()) > 0 { // not the runtime's summaries
					b = AppendMessage(b, 2, func(b []byte) []byte { return appendFamily(b, f, began, now) })
				}
			}
			return b
		})
	})
}

// form is the field that a kind of metric has its data in; 0: none.
func form(kind dto.MetricType) protowire.Number {
	switch kind {
	case dto.MetricType_GAUGE, dto.MetricType_UNTYPED:
		return 5
	case dto.MetricType_COUNTER:
		return 7
	case dto.MetricType_HISTOGRAM:
		return 9
	default:
		return 0
	}
}

func appendFamily(b []byte, f *dto.MetricFamily, began, now time.Time) []byte {
	name, unit := f.GetName(), ""
	ours := strings.HasPrefix(name, "gen_ai_")
	if ours {
		name, unit = conventional(name)
	}
	kind := form(f.GetType())
	b = AppendText(AppendText(AppendText(b, 1, name), 2, f.GetHelp()), 3, unit)
	return AppendMessage(b, kind, func(b []byte) []byte {
		for _, one := range f.GetMetric() {
			b = AppendMessage(b, 1, func(b []byte) []byte {
				if kind == 9 {
					return appendDistribution(b, one, ours, began, now)
				}
				value := one.GetCounter().GetValue() + one.GetGauge().GetValue() + one.GetUntyped().GetValue()
				return AppendDouble(AppendTime(AppendTime(appendLabels(b, 7, one.GetLabel(), ours), 2, began), 3, now), 4, value)
			})
		}
		switch kind {
		case 7:
			return AppendNumber(AppendNumber(b, 2, cumulative), 3, 1) // and it only grows
		case 9:
			return AppendNumber(b, 2, cumulative)
		}
		return b
	})
}

// appendDistribution counts each bucket apart, where Prometheus adds those below it.
func appendDistribution(b []byte, one *dto.Metric, ours bool, began, now time.Time) []byte {
	h := one.GetHistogram()
	b = AppendTime(AppendTime(appendLabels(b, 9, one.GetLabel(), ours), 2, began), 3, now)
	b = AppendDouble(AppendFixed(b, 4, h.GetSampleCount()), 5, h.GetSampleSum())
	var below uint64
	for _, bucket := range h.GetBucket() {
		b = AppendFixed(b, 6, bucket.GetCumulativeCount()-below)
		below = bucket.GetCumulativeCount()
	}
	b = AppendFixed(b, 6, h.GetSampleCount()-below)
	for _, bucket := range h.GetBucket() {
		b = AppendDouble(b, 7, bucket.GetUpperBound())
	}
	return b
}

// conventional is the name of the conventions for what Prometheus calls
// gen_ai_server_request_duration_seconds, and its unit.
func conventional(name string) (dotted, unit string) {
	name, timed := strings.CutSuffix(name, "_seconds")
	if unit = "{token}"; timed {
		unit = "s"
	}
	group, rest, _ := strings.Cut(strings.TrimPrefix(name, "gen_ai_"), "_") // client, server
	if group == "server" && strings.HasPrefix(rest, "time_") {
		return "gen_ai.server." + rest, unit
	}
	return "gen_ai." + group + "." + strings.ReplaceAll(rest, "_", "."), unit
}

// appendLabels appends labels as attributes; conventional ones have dots.
func appendLabels(b []byte, field protowire.Number, pairs []*dto.LabelPair, dotted bool) []byte {
	for _, l := range pairs {
		name := l.GetName()
		if l.GetValue() == "" {
			continue // is the same as none, to Prometheus
		}
		if rest, is := strings.CutPrefix(name, "gen_ai_"); is && dotted {
			name = "gen_ai." + strings.ReplaceAll(rest, "_", ".")
		} else if name == "error_type" {
			name = "error.type"
		}
		b = appendAttribute(b, field, name, l.GetValue())
	}
	return b
}

func appendAttribute(b []byte, field protowire.Number, key, value string) []byte {
	return AppendMessage(b, field, func(b []byte) []byte {
		return AppendMessage(AppendText(b, 1, key), 2, func(b []byte) []byte { return AppendText(b, 1, value) })
	})
}
