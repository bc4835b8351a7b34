package reqbody

import (
	"bytes"

	"antwort/server/buffer"
	"antwort/shared/failure"

	"github.com/prometheus/client_golang/prometheus"
)

// What an exchange holds beside the buffers, which are charged as they grow.

// NewGauge returns the metric about what is held.
func NewGauge(b *Bound) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "in_flight_bytes",
		Help: "What is held of requests and answers, and what is set aside for them.",
	}, func() float64 { return float64(b.Held()) })
}

// Memory of what is parsed.
const (
	valueBytes = 256      // of a JSON value in a parse tree, measured with the largest
	smallText  = 16 << 10 // a smaller text is parsed at once, and gone before the next
)

// Parsing calls parse, which parses text of at most so many values, when there is
// memory for that.
func (c *Charge) Parsing(text []byte, values int, parse func() *failure.Failure) *failure.Failure {
	n := treeBytes(text, values)
	if n > 0 && !c.Hold(n) {
		return c.Refusal()
	}
	defer c.LetGo(n)
	return parse()
}

// RoomFor makes room in out for the translation of text. Small ones need not ask.
func (c *Charge) RoomFor(text []byte, out *buffer.Buffer) *failure.Failure {
	if len(text) > smallText && !out.Grow(len(text)+len(text)/8) {
		return c.Refusal()
	}
	return nil
}

// Request charges for a request that is ready to be sent: what its buffer has
// become, what its turn keeps, and a copy with another model. From now on the
// exchange holds memory for its answer.
func (c *Charge) Request(body *buffer.Buffer, kept int, copied bool) *failure.Failure {
	if copied {
		kept += len(body.B)
	}
	if !body.Measure() || kept > 0 && !c.Hold(kept) {
		return c.Refusal()
	}
	c.Accept()
	return nil
}

// treeBytes is what the parse of a text takes at most, in bytes. Commas and
// brackets within strings count too.
func treeBytes(text []byte, most int) int {
	if len(text) <= smallText {
		return 0
	}
	values := 1 + bytes.Count(text, []byte{','}) + bytes.Count(text, []byte{'['}) + bytes.Count(text, []byte{'{'})
	return valueBytes * min(values, most)
}
