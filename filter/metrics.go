package filter

import (
	"strconv"

	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// kinds are the failures that a filter can tell.
var kinds = [...]failure.Kind{
	failure.UnknownPath, failure.WrongMethod, failure.NotStored, failure.WrongContentType, failure.UnsupportedEncoding, failure.TooLarge,
	failure.SlowBody, failure.InvalidRequest, failure.Loop, failure.Unauthorized, failure.ForbiddenModel, failure.NoRoute, failure.RateLimited,
	failure.BudgetSpent, failure.LimitsUnavailable,
	failure.UpstreamStatus, failure.UpstreamAnswer, failure.UpstreamStream,
	failure.Cut, failure.Overloaded, failure.Ungated, failure.Panic,
}

// metrics are Envoy's stats of the plugin. In Envoy each name gets the prefix
// wasmcustom.
type metrics struct {
	requests   []requests                                 // those that there were, so that most are found at once
	failures   [failure.Panic + 1]proxywasm.MetricCounter // by kind, the last of which is Panic
	panics     proxywasm.MetricCounter
	dropped    proxywasm.MetricCounter    // requests of which tools were left out
	tokens     [4]proxywasm.MetricCounter // input, input_cached, output, output_reasoning
	firstToken proxywasm.MetricHistogram  // milliseconds, of streamed answers
	inFlight   proxywasm.MetricGauge      // bytes
}

// requests is a counter of requests.
type requests struct {
	ended
	proxywasm.MetricCounter
}

// ended is what requests are counted by: of both there are few.
type ended struct {
	endpoint string // a pattern, never a client's path
	code     int    // 499: the client left first
}

func (m *metrics) define() {
	m.requests = nil
	m.panics = proxywasm.DefineCounterMetric("antwort.panics_total")
	m.dropped = proxywasm.DefineCounterMetric("antwort.dropped_tools_total")
	m.inFlight = proxywasm.DefineGaugeMetric("antwort.in_flight_bytes")
	m.firstToken = proxywasm.DefineHistogramMetric("antwort.time_to_first_token_ms")
	for i, kind := range [...]string{"input", "input_cached", "output", "output_reasoning"} {
		m.tokens[i] = proxywasm.DefineCounterMetric("antwort.tokens_total." + kind)
	}
	for _, kind := range kinds {
		m.failures[kind] = proxywasm.DefineCounterMetric("antwort.failures_total." + kind.String())
	}
}

// request counts a request that has ended.
func (m *metrics) request(as ended) {
	if as.code == 0 {
		as.code = statusClientGone
	}
	for i := range m.requests {
		if r := &m.requests[i]; r.code == as.code && r.endpoint == as.endpoint {
			r.Increment(1)
			return
		}
	}
	counter := proxywasm.DefineCounterMetric("antwort.requests_total." + as.endpoint + "." + strconv.Itoa(as.code))
	m.requests = append(m.requests, requests{as, counter})
	counter.Increment(1)
}

// statusClientGone is the status when nobody was there to be answered.
const statusClientGone = 499

// Endpoints that requests are counted by beside those with a path of their own.
const (
	unknownEndpoint   = "unknown"
	websocketEndpoint = "websocket"
)

// endpointName is what the requests of an endpoint are counted by.
func endpointName(e *policy.Endpoint) string {
	if e == nil {
		return unknownEndpoint
	}
	return e.Name
}

// fail counts a failure.
func (m *metrics) fail(kind failure.Kind) { m.failures[kind].Increment(1) }

func (m *metrics) usage(u *responses.Usage) {
	for i, n := range [...]int64{u.Input, u.Cached, u.Output, u.Reasoning} {
		if n > 0 {
			m.tokens[i].Increment(uint64(n))
		}
	}
}
