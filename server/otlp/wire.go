package otlp

import (
	"encoding/binary"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of messages in Protobuf, written at once: to build messages first costs five times
// as much.

// lengthBytes is the room for a message's length: a number with more digits than it needs
// means the same.
const lengthBytes = 4

// AppendMessage appends a field that is a message, whose length is known afterwards.
func AppendMessage(b []byte, field protowire.Number, fill func([]byte) []byte) []byte {
	b = append(protowire.AppendTag(b, field, protowire.BytesType), 0, 0, 0, 0)
	at := len(b)
	b = fill(b)
	n := uint32(len(b) - at) //nolint:gosec // far less than 256 MiB
	binary.LittleEndian.PutUint32(b[at-lengthBytes:], n&0x7f|n<<1&0x7f00|n<<2&0x7f0000|n<<3&0x7f000000|0x808080)
	return b
}

// AppendText appends a text, unless it is empty.
func AppendText(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

// AppendBytes appends bytes.
func AppendBytes(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

// AppendNumber appends a number.
func AppendNumber(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

// AppendFixed appends a number of 64 bits.
func AppendFixed(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, field, protowire.Fixed64Type), v)
}

// AppendDouble appends a number with a point.
func AppendDouble(b []byte, field protowire.Number, v float64) []byte {
	return AppendFixed(b, field, math.Float64bits(v))
}

// AppendTime appends a time.
func AppendTime(b []byte, field protowire.Number, at time.Time) []byte {
	return AppendFixed(b, field, uint64(at.UnixNano()))
}
