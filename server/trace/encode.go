package trace

import (
	"encoding/binary"
	"math"
	"time"

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
	return nested(dst, 1, func(b []byte) []byte {
		b = nested(b, 1, func(b []byte) []byte { return attributes(b, 1, spans[0].Resource().Attributes()) })
		return nested(b, 2, func(b []byte) []byte {
			of := spans[0].InstrumentationScope()
			b = nested(b, 1, func(b []byte) []byte { return text(text(b, 1, of.Name), 2, of.Version) })
			for _, s := range spans {
				b = nested(b, 2, func(b []byte) []byte { return appendSpan(b, s) })
			}
			return b
		})
	})
}

func appendSpan(b []byte, s sdk.ReadOnlySpan) []byte {
	of, parent := s.SpanContext(), s.Parent()
	tid, sid := of.TraceID(), of.SpanID()
	b = text(bytesOf(bytesOf(b, 1, tid[:]), 2, sid[:]), 3, of.TraceState().String())
	if parent.HasSpanID() {
		pid := parent.SpanID()
		b = bytesOf(b, 4, pid[:])
	}
	b = varint(text(b, 5, s.Name()), 6, uint64(s.SpanKind())) //nolint:gosec // one of six
	b = moment(moment(b, 7, s.StartTime()), 8, s.EndTime())
	b = attributes(b, 9, s.Attributes())
	for _, l := range s.Links() {
		b = nested(b, 13, func(b []byte) []byte {
			tid, sid := l.SpanContext.TraceID(), l.SpanContext.SpanID()
			return flags(bytesOf(bytesOf(b, 1, tid[:]), 2, sid[:]), 6, l.SpanContext, l.SpanContext)
		})
	}
	if st := s.Status(); st.Code == codes.Error {
		b = nested(b, 15, func(b []byte) []byte { return varint(text(b, 2, st.Description), 3, 2) })
	}
	return flags(b, 16, of, parent)
}

func attributes(b []byte, field protowire.Number, all []attribute.KeyValue) []byte {
	for i := range all {
		kv := &all[i]
		b = nested(b, field, func(b []byte) []byte {
			return nested(text(b, 1, string(kv.Key)), 2, func(b []byte) []byte { return value(b, kv.Value) })
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
		return nested(b, 5, func(b []byte) []byte {
			for _, s := range v.AsStringSlice() {
				b = nested(b, 1, func(b []byte) []byte {
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

func text(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func bytesOf(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func varint(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func moment(b []byte, field protowire.Number, at time.Time) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, field, protowire.Fixed64Type), uint64(at.UnixNano()))
}

// lengthBytes is the room for a message's length: a number with more digits than it needs
// means the same.
const lengthBytes = 4

// nested appends a field that is a message, whose length is known afterwards.
func nested(b []byte, field protowire.Number, fill func([]byte) []byte) []byte {
	b = append(protowire.AppendTag(b, field, protowire.BytesType), 0, 0, 0, 0)
	at := len(b)
	b = fill(b)
	n := uint32(len(b) - at) //nolint:gosec // a batch is far less than 256 MiB
	binary.LittleEndian.PutUint32(b[at-lengthBytes:], n&0x7f|n<<1&0x7f00|n<<2&0x7f0000|n<<3&0x7f000000|0x808080)
	return b
}
