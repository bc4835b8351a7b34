package server

import (
	"bytes"

	"antwort/server/buffer"
	"antwort/server/reqbody"
	"antwort/shared/failure"

	"github.com/prometheus/client_golang/prometheus"
)

// What an exchange holds beside the buffers, which are charged as they grow.

func newHeldGauge(b *reqbody.Bound) prometheus.Collector {
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

// parsing calls parse, which parses text, when there is memory for that.
func (x *exchange) parsing(text []byte, parse func() *failure.Failure) *failure.Failure {
	n := treeBytes(text, x.gen.cfg.Limits.JSONValues)
	if n > 0 && !x.held.Hold(n) {
		return x.held.Refusal()
	}
	defer x.held.LetGo(n)
	return parse()
}

// roomFor makes room in out for the translation of text. Small ones need not ask.
func (x *exchange) roomFor(text []byte, out *buffer.Buffer) *failure.Failure {
	if len(text) > smallText && !out.Grow(len(text)+len(text)/8) {
		return x.held.Refusal()
	}
	return nil
}

// holdRequest charges for a request that is ready to be sent: what its buffer has
// become, what its turn keeps, and a copy with another model. From now on the
// exchange holds memory for its answer.
func (x *exchange) holdRequest(body *buffer.Buffer, kept int, copied bool) *failure.Failure {
	if copied {
		kept += len(body.B)
	}
	if !body.Measure() || kept > 0 && !x.held.Hold(kept) {
		return x.held.Refusal()
	}
	x.held.Accept()
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
