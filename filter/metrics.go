package filter

import (
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// failure is why a request went wrong: the last part of a metric's name.
type failure int

// The kinds, named as the native server names them.
const (
	wrongMethod failure = iota
	wrongContentType
	unsupportedEncoding
	unknownPath
	notStored
	tooLarge
	overloaded
	invalidRequest
	upstreamStatus
	upstreamAnswer
	upstreamStream
	ungated
	cut
	panicked
	unauthorized
	forbiddenModel
	noRoute
	failures // how many
)

func (f failure) String() string {
	return [failures]string{
		"wrong_method", "wrong_content_type", "unsupported_encoding", "unknown_path", "not_stored", "too_large", "overloaded",
		"invalid_request", "upstream_status", "upstream_answer", "upstream_stream", "ungated", "cut", "panic",
		"unauthorized", "forbidden_model", "no_route",
	}[f]
}

// metrics are Envoy's stats of the plugin. In Envoy each name gets the prefix
// wasmcustom.
type metrics struct {
	requests   proxywasm.MetricCounter
	failures   [failures]proxywasm.MetricCounter
	panics     proxywasm.MetricCounter
	tokens     [4]proxywasm.MetricCounter // input, input_cached, output, output_reasoning
	firstToken proxywasm.MetricHistogram  // milliseconds
	inFlight   proxywasm.MetricGauge      // bytes
}

func (m *metrics) define() {
	m.requests = proxywasm.DefineCounterMetric("antwort.requests_total")
	m.panics = proxywasm.DefineCounterMetric("antwort.panics_total")
	m.inFlight = proxywasm.DefineGaugeMetric("antwort.in_flight_bytes")
	m.firstToken = proxywasm.DefineHistogramMetric("antwort.time_to_first_token_ms")
	for i, kind := range [...]string{"input", "input_cached", "output", "output_reasoning"} {
		m.tokens[i] = proxywasm.DefineCounterMetric("antwort.tokens_total." + kind)
	}
	for f := range failures {
		m.failures[f] = proxywasm.DefineCounterMetric("antwort.failures_total." + f.String())
	}
}

func (m *metrics) usage(u responses.Usage) {
	for i, n := range [...]int64{u.Input, u.Cached, u.Output, u.Reasoning} {
		if n > 0 {
			m.tokens[i].Increment(uint64(n))
		}
	}
}
