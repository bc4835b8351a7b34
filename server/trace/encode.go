package trace

import (
	"math"

	"antwort/server/otlp"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otel "go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/encoding/protowire"
)

// Spans as OTLP has them (opentelemetry/proto/trace/v1), written at once: to build messages
// first, as the SDK's own exporter does, costs a span five times as much. The numbers are
// those of the fields.

// appendRequest appends what is sent for spans of one process.
func appendRequest(dst []byte, spans []sdk.ReadOnlySpan) []byte {
	return otlp.AppendMessage(dst, 1, func(b []byte) []byte {
		b = otlp.AppendMessage(b, 1, func(b []byte) []byte { return attributes(b, 1, spans[0].Resource().Attributes()) })
		return otlp.AppendMessage(b, 2, func(b []byte) []byte {
			of := spans[0].InstrumentationScope()
			b = otlp.AppendMessage(b, 1, func(b []byte) []byte { return otlp.AppendText(otlp.AppendText(b, 1, of.Name), 2, of.Version) })
			for _, s := range spans {
				b = otlp.AppendMessage(b, 2, func(b []byte) []byte { return appendSpan(b, s) })
			}
			return b
		})
	})
}

func appendSpan(b []byte, s sdk.ReadOnlySpan) []byte {
	of, parent := s.SpanContext(), s.Parent()
	tid, sid := of.TraceID(), of.SpanID()
	b = otlp.AppendText(otlp.AppendBytes(otlp.AppendBytes(b, 1, tid[:]), 2, sid[:]), 3, of.TraceState().String())
	if parent.HasSpanID() {
		pid := parent.SpanID()
		b = otlp.AppendBytes(b, 4, pid[:])
	}
	b = otlp.AppendNumber(otlp.AppendText(b, 5, s.Name()), 6, uint64(s.SpanKind())) //nolint:gosec // one of six
	b = otlp.AppendTime(otlp.AppendTime(b, 7, s.StartTime()), 8, s.EndTime())
	b = attributes(b, 9, s.Attributes())
	for _, l := range s.Links() {
		b = otlp.AppendMessage(b, 13, func(b []byte) []byte {
			tid, sid := l.SpanContext.TraceID(), l.SpanContext.SpanID()
			return flags(otlp.AppendBytes(otlp.AppendBytes(b, 1, tid[:]), 2, sid[:]), 6, l.SpanContext, l.SpanContext)
		})
	}
	if st := s.Status(); st.Code == codes.Error {
		b = otlp.AppendMessage(b, 15, func(b []byte) []byte { return otlp.AppendNumber(otlp.AppendText(b, 2, st.Description), 3, 2) })
	}
	return flags(b, 16, of, parent)
}

func attributes(b []byte, field protowire.Number, all []attribute.KeyValue) []byte {
	for i := range all {
		kv := &all[i]
		b = otlp.AppendMessage(b, field, func(b []byte) []byte {
			return otlp.AppendMessage(otlp.AppendText(b, 1, string(kv.Key)), 2, func(b []byte) []byte { return value(b, kv.Value) })
		})
	}
	return b
}

// value appends what an AnyValue has.
func value(b []byte, v attribute.Value) []byte {
	switch v.Type() {
	case attribute.BOOL:
		return protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), protowire.EncodeBool(v.AsBool()))
	case attribute.INT64:
		return protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), uint64(v.AsInt64())) //nolint:gosec // as Protobuf writes it
	case attribute.FLOAT64:
		return protowire.AppendFixed64(protowire.AppendTag(b, 4, protowire.Fixed64Type), math.Float64bits(v.AsFloat64()))
	case attribute.STRINGSLICE:
		return otlp.AppendMessage(b, 5, func(b []byte) []byte {
			for _, s := range v.AsStringSlice() {
				b = otlp.AppendMessage(b, 1, func(b []byte) []byte {
					return protowire.AppendString(protowire.AppendTag(b, 1, protowire.BytesType), s)
				})
			}
			return b
		})
	}
	return protowire.AppendString(protowire.AppendTag(b, 1, protowire.BytesType), v.String())
}

// flags appends those of a span: whether it is sampled, and whether its parent is elsewhere.
func flags(b []byte, field protowire.Number, of, parent otel.SpanContext) []byte {
	const known, remote = 1 << 8, 1 << 9
	f := uint32(of.TraceFlags()) | known
	if parent.IsRemote() {
		f |= remote
	}
	return protowire.AppendFixed32(protowire.AppendTag(b, field, protowire.Fixed32Type), f)
}
