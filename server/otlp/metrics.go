package otlp

import (
	"context"
	"log/slog"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/attribute"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"
)

// Pusher sends the metrics of a process again and again.
type Pusher struct {
	Client   *Client
	Gather   func() ([]*dto.MetricFamily, error)
	Resource []attribute.KeyValue // what is said of the process
	Interval time.Duration
	Log      *slog.Logger
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
	message, err := proto.Marshal(p.data(families, began, time.Now()))
	if err != nil {
		return err
	}
	_, err = p.Client.Send(ctx, Metrics, message)
	return err
}

// data is what was gathered, as OTLP has it: cumulative since began.
func (p *Pusher) data(families []*dto.MetricFamily, began, now time.Time) *metricspb.MetricsData {
	from, at := uint64(began.UnixNano()), uint64(now.UnixNano())
	metrics := make([]*metricspb.Metric, 0, len(families))
	for _, f := range families {
		m := &metricspb.Metric{Name: f.GetName(), Description: f.GetHelp()}
		ours := strings.HasPrefix(m.Name, "gen_ai_")
		if ours {
			m.Name, m.Unit = conventional(m.Name)
		}
		attributes := func(one *dto.Metric) []*commonpb.KeyValue { return labels(one.GetLabel(), ours) }
		switch f.GetType() {
		case dto.MetricType_COUNTER:
			sum := &metricspb.Sum{AggregationTemporality: metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE, IsMonotonic: true}
			for _, one := range f.GetMetric() {
				sum.DataPoints = append(sum.DataPoints, number(attributes(one), one.GetCounter().GetValue(), from, at))
			}
			m.Data = &metricspb.Metric_Sum{Sum: sum}
		case dto.MetricType_GAUGE, dto.MetricType_UNTYPED:
			gauge := &metricspb.Gauge{}
			for _, one := range f.GetMetric() {
				gauge.DataPoints = append(gauge.DataPoints, number(attributes(one), one.GetGauge().GetValue()+one.GetUntyped().GetValue(), 0, at))
			}
			m.Data = &metricspb.Metric_Gauge{Gauge: gauge}
		case dto.MetricType_HISTOGRAM:
			h := &metricspb.Histogram{AggregationTemporality: metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE}
			for _, one := range f.GetMetric() {
				h.DataPoints = append(h.DataPoints, distribution(attributes(one), one.GetHistogram(), from, at))
			}
			m.Data = &metricspb.Metric_Histogram{Histogram: h}
		default: // the runtime's summaries
			continue
		}
		metrics = append(metrics, m)
	}
	about := &resourcepb.Resource{}
	for _, kv := range p.Resource {
		about.Attributes = append(about.Attributes, text(string(kv.Key), kv.Value.String()))
	}
	return &metricspb.MetricsData{ResourceMetrics: []*metricspb.ResourceMetrics{{
		Resource:     about,
		ScopeMetrics: []*metricspb.ScopeMetrics{{Scope: &commonpb.InstrumentationScope{Name: "antwort"}, Metrics: metrics}},
	}}}
}

func number(attributes []*commonpb.KeyValue, value float64, from, at uint64) *metricspb.NumberDataPoint {
	return &metricspb.NumberDataPoint{Attributes: attributes, StartTimeUnixNano: from, TimeUnixNano: at, Value: &metricspb.NumberDataPoint_AsDouble{AsDouble: value}}
}

// distribution counts each bucket apart, where Prometheus adds those below it.
func distribution(attributes []*commonpb.KeyValue, h *dto.Histogram, from, at uint64) *metricspb.HistogramDataPoint {
	sum := h.GetSampleSum()
	p := &metricspb.HistogramDataPoint{Attributes: attributes, StartTimeUnixNano: from, TimeUnixNano: at, Count: h.GetSampleCount(), Sum: &sum}
	var below uint64
	for _, b := range h.GetBucket() {
		p.ExplicitBounds = append(p.ExplicitBounds, b.GetUpperBound())
		p.BucketCounts = append(p.BucketCounts, b.GetCumulativeCount()-below)
		below = b.GetCumulativeCount()
	}
	p.BucketCounts = append(p.BucketCounts, h.GetSampleCount()-below)
	return p
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

// labels are attributes; conventional ones have dots.
func labels(pairs []*dto.LabelPair, dotted bool) []*commonpb.KeyValue {
	all := make([]*commonpb.KeyValue, 0, len(pairs))
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
		all = append(all, text(name, l.GetValue()))
	}
	return all
}

func text(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}
