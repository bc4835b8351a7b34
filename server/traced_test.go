package server

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"antwort/server/mockllm"
	"antwort/server/testkit"
	"antwort/shared/config"
)

// traced lets a server send its traces to a collector.
func traced(to *testkit.Collector) func(*config.Config) {
	return func(c *config.Config) {
		c.Observability.OTLP.Endpoint = to.URL
		c.Observability.OTLP.Interval = 10 * time.Millisecond
	}
}

const (
	someTrace  = "0af7651916cd43dd8448eb211c80319c"
	someParent = "00-" + someTrace + "-b7ad6b7169203331-01"
)

// spansOf waits for n spans, and returns them with their parents first.
func spansOf(t *testing.T, c *testkit.Collector, n int) []*tracepb.Span {
	t.Helper()
	var spans []*tracepb.Span
	require.Eventually(t, func() bool {
		spans = slices.DeleteFunc(c.Spans(), func(s *tracepb.Span) bool { return s.Name == "GET /v1/models" }) // a server in front greets
		return len(spans) >= n
	}, guard, 5*time.Millisecond, "%d spans have not come", n)
	require.Len(t, spans, n)
	depth := func(s *tracepb.Span) (d int) {
		for i := slices.IndexFunc(spans, func(p *tracepb.Span) bool { return string(p.SpanId) == string(s.ParentSpanId) }); i >= 0; d++ {
			s = spans[i]
			i = slices.IndexFunc(spans, func(p *tracepb.Span) bool { return string(p.SpanId) == string(s.ParentSpanId) })
		}
		return d
	}
	slices.SortStableFunc(spans, func(a, b *tracepb.Span) int {
		if d := depth(a) - depth(b); d != 0 {
			return d
		}
		return int(a.StartTimeUnixNano) - int(b.StartTimeUnixNano) //nolint:gosec // near each other
	})
	return spans
}

// attributesOf are a span's, as text.
func attributesOf(s *tracepb.Span) map[string]string {
	all := map[string]string{}
	for _, kv := range s.Attributes {
		v := kv.Value
		switch {
		case v.GetArrayValue() != nil:
			all[kv.Key] = v.GetArrayValue().Values[0].GetStringValue()
		case v.GetStringValue() != "":
			all[kv.Key] = v.GetStringValue()
		default:
			all[kv.Key] = strings.TrimSpace(strings.NewReplacer("int_value:", "", "bool_value:", "", "double_value:", "").Replace(v.String()))
		}
	}
	return all
}

func requireAttributes(t *testing.T, s *tracepb.Span, want map[string]string) {
	t.Helper()
	got := attributesOf(s)
	for name, value := range want {
		require.Equal(t, value, got[name], "%s of %s: %v", name, s.Name, got)
	}
}

// One trace goes from the client through a server that forwards and one that translates,
// and on to the model, over both protocols.
func TestOneTraceThroughTheChain(t *testing.T) {
	for _, protocol := range []string{config.OTLPHTTP, config.OTLPGRPC} {
		t.Run(protocol, func(t *testing.T) {
			collector := testkit.NewCollector(t)
			up := &lastAsked{}
			sends := func(c *config.Config) {
				traced(collector)(c)
				c.Observability.OTLP.Protocol = protocol
				c.Observability.OTLP.Headers = config.NewSecret("authorization=Bearer%20key,x-team=a")
			}
			back := start(t, config.VLLM, upstreamOf(t, chats(up.answer)), sends)
			front := back.front(sends)
			ready(t, front)
			require.Equal(t, 200, front.post(`{"model":"m","input":"a secret"}`, "Traceparent", someParent, "Tracestate", "a=1,b=2").status)
			spans := spansOf(t, collector, 4)
			for i, s := range spans {
				require.Equal(t, someTrace, fmt.Sprintf("%x", s.TraceId))
				require.Equal(t, "a=1,b=2", s.TraceState)
				require.Zero(t, s.Status.GetCode(), "%v", s)
				require.NotContains(t, s.String(), "a secret")
				if i > 0 {
					require.Equal(t, spans[i-1].SpanId, s.ParentSpanId)
				}
			}
			require.Equal(t, "b7ad6b7169203331", fmt.Sprintf("%x", spans[0].ParentSpanId))
			last := up.header("Traceparent")
			require.Equal(t, fmt.Sprintf("00-%s-%x-01", someTrace, spans[3].SpanId), last)
			require.Equal(t, "a=1,b=2", up.header("Tracestate"))
			require.Equal(t, "Bearer key", collector.Header().Get("Authorization"))
			require.Equal(t, "a", collector.Header().Get("X-Team"))

			names := []string{"POST /v1/responses", "chat m", "POST /v1/responses", "chat m"}
			kinds := []tracepb.Span_SpanKind{tracepb.Span_SPAN_KIND_SERVER, tracepb.Span_SPAN_KIND_CLIENT, tracepb.Span_SPAN_KIND_SERVER, tracepb.Span_SPAN_KIND_CLIENT}
			for i, s := range spans {
				require.Equal(t, names[i], s.Name)
				require.Equal(t, kinds[i], s.Kind)
				requireAttributes(t, s, map[string]string{
					"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.response.model": "m", "gen_ai.response.finish_reasons": "stop",
					"gen_ai.usage.input_tokens": "3", "gen_ai.usage.output_tokens": "2", "http.request.method": "POST", "http.response.status_code": "200",
				})
			}
			requireAttributes(t, spans[0], map[string]string{"http.route": "/v1/responses", "gen_ai.provider.name": "vllm-responses", "gen_ai.request.stream": "false"})
			requireAttributes(t, spans[3], map[string]string{"gen_ai.provider.name": "vllm", "server.address": "127.0.0.1", "antwort.route": "default"})
			require.NotEmpty(t, attributesOf(spans[3])["server.port"])
			front.log.waitFor(t, `"trace_id":"`+someTrace+`"`)
			front.stop() // before the collector ends
			front.drained()
		})
	}
}

// A failover shows as a chain of attempts, each with what became of it.
func TestAFailoverIsAChainOfSpans(t *testing.T) {
	collector := testkit.NewCollector(t)
	refused := "http://" + testkit.Refused(t).String()
	busy := upstreamOf(t, chats(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	r := start(t, config.VLLM, "", traced(collector), func(c *config.Config) {
		c.Engine.BackendURL = ""
		c.Routes = []config.Route{{Name: "r", Backends: []config.Backend{
			{URL: refused, Priority: 0}, {URL: busy, Priority: 1}, {URL: upstreamOf(t, chats(answering200)), Model: "other", Priority: 2},
		}}}
	})
	ready(t, r)
	require.Equal(t, 200, r.post(`{"model":"m","input":"hi"}`).status)
	spans := spansOf(t, collector, 4)
	requireAttributes(t, spans[0], map[string]string{"antwort.retries": "2", "gen_ai.request.model": "m"})
	for i, want := range []map[string]string{
		{"error.type": "connect"},
		{"error.type": "503", "http.response.status_code": "503", "http.request.resend_count": "1"},
		{"http.response.status_code": "200", "http.request.resend_count": "2", "gen_ai.request.model": "other", "error.type": ""},
	} {
		s := spans[1+i]
		require.Equal(t, spans[0].SpanId, s.ParentSpanId)
		requireAttributes(t, s, want)
		require.Equal(t, i < 2, s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR)
	}
}

// What a span says of how an exchange went wrong.
func TestSpansOfWhatGoesWrong(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	for name, c := range map[string]struct {
		body  string
		spans int
		root  map[string]string
		bad   bool
		try   string
	}{
		"refused":          {`{`, 1, map[string]string{"error.type": "invalid_request", "http.response.status_code": "400"}, false, ""},
		"upstream refuses": {`{"model":"/mnt/models","input":"mock: status=500"}`, 2, map[string]string{"error.type": "upstream_status", "http.response.status_code": "500"}, true, "500"},
		"cut": {`{"model":"/mnt/models","stream":true,"input":"mock: cut-after=2"}`, 2,
			map[string]string{"error.type": "upstream_cut", "http.response.status_code": "200", "gen_ai.response.finish_reasons": "error", "gen_ai.request.stream": "true"}, true, "cut"},
		"incomplete": {`{"model":"/mnt/models","input":"mock: finish=length"}`, 2, map[string]string{"gen_ai.response.finish_reasons": "length", "error.type": ""}, false, ""},
		"tools": {`{"model":"/mnt/models","stream":true,"tools":[{"type":"function","name":"f","parameters":{}}],"tool_choice":"required","input":"hi"}`, 2,
			map[string]string{"gen_ai.response.finish_reasons": "tool_calls"}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			collector := testkit.NewCollector(t)
			r := start(t, config.VLLM, llm, traced(collector))
			r.post(c.body)
			spans := spansOf(t, collector, c.spans)
			requireAttributes(t, spans[0], c.root)
			require.Equal(t, c.bad, spans[0].Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR)
			if c.spans > 1 {
				requireAttributes(t, spans[1], map[string]string{"error.type": c.try})
			}
		})
	}
}

// An error that passes through a tier is one in each of its spans.
func TestSpansOfAnErrorThatPasses(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	for _, status := range []int{429, 500, 503} {
		collector := testkit.NewCollector(t)
		back := start(t, config.VLLM, llm, traced(collector), func(c *config.Config) { c.Engine.Retry.MaxAttempts = 1 })
		front := back.front(traced(collector))
		ready(t, front)
		require.Equal(t, status, front.post(fmt.Sprintf(`{"model":"/mnt/models","input":"mock: status=%d"}`, status)).status)
		for i, s := range spansOf(t, collector, 4) {
			code, attempt := strconv.Itoa(status), i%2 == 1
			why := "upstream_status"
			if attempt {
				why = code
			}
			requireAttributes(t, s, map[string]string{"error.type": why, "http.response.status_code": code})
			require.Equal(t, attempt || status >= 500, s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR, "span %d", i)
		}
	}
}

// Requests of others are traced if their senders trace them; of ours as many as wanted.
// Who is not traced is passed on as such, so that nobody behind begins anew.
func TestSampling(t *testing.T) {
	collector := testkit.NewCollector(t)
	up := &lastAsked{}
	r := start(t, config.VLLM, upstreamOf(t, chats(up.answer)), traced(collector), func(c *config.Config) { c.Observability.Tracing.SampleRatio = 0 })
	ready(t, r)
	require.Equal(t, 200, r.post(ask).status)
	require.Regexp(t, "^00-[0-9a-f]{32}-[0-9a-f]{16}-00$", up.header("Traceparent"))
	require.Equal(t, 200, r.post(ask, "Traceparent", strings.TrimSuffix(someParent, "1")+"0").status)
	require.Regexp(t, "^00-"+someTrace+"-[0-9a-f]{16}-00$", up.header("Traceparent"))
	require.Equal(t, 200, r.post(ask, "Traceparent", "00-none").status)
	require.Equal(t, 200, r.post(ask, "Traceparent", someParent).status)
	require.Len(t, spansOf(t, collector, 2), 2)
	next := *r.first.cfg
	next.Observability.Tracing.SampleRatio = 1_000_000
	require.NoError(t, r.change(t.Context(), &next))
	require.Equal(t, 200, r.post(ask).status)
	require.Len(t, spansOf(t, collector, 4), 4)
}

// What people write is in a span only if the configuration says so, and never more of it.
func TestCapture(t *testing.T) {
	_, llm := mock(t, mockllm.Options{Tokens: 40})
	for _, stream := range []string{"false", "true"} {
		collector := testkit.NewCollector(t)
		r := start(t, config.VLLM, llm, traced(collector), func(c *config.Config) { c.Observability.Capture = 24 })
		require.Equal(t, 200, r.post(`{"model":"/mnt/models","stream":`+stream+`,"input":[{"role":"user","content":"an old question"},{"role":"user","content":[{"type":"input_text","text":"äöüß what is the question?"}]}]}`).status)
		spans := spansOf(t, collector, 2)
		got := attributesOf(spans[0])
		require.JSONEq(t, `[{"role":"user","parts":[{"type":"text","content":"äöüß what is the que…"}]}]`, got["gen_ai.input.messages"])
		require.Contains(t, got["gen_ai.output.messages"], `[{"role":"assistant","parts":[{"type":"text","content":"`)
		require.Less(t, len(got["gen_ai.output.messages"]), 100)
	}
}

// Work in the background is a span of its own in the trace of who has asked for it.
func TestTheBackgroundIsTraced(t *testing.T) {
	collector := testkit.NewCollector(t)
	_, llm := mock(t, mockllm.Options{})
	r := start(t, config.VLLM, llm, traced(collector))
	ready(t, r)
	require.Equal(t, 200, r.post(`{"model":"/mnt/models","background":true,"input":"hi"}`, "Traceparent", someParent).status)
	spans := spansOf(t, collector, 3)
	require.Equal(t, []string{"POST /v1/responses", "background /v1/responses", "chat /mnt/models"}, []string{spans[0].Name, spans[1].Name, spans[2].Name})
	require.Equal(t, tracepb.Span_SPAN_KIND_CONSUMER, spans[1].Kind)
	require.Equal(t, spans[0].SpanId, spans[1].ParentSpanId)
	require.NotContains(t, attributesOf(spans[0]), "gen_ai.operation.name")
	requireAttributes(t, spans[1], map[string]string{"gen_ai.operation.name": "chat", "http.route": "background"})
	require.EqualValues(t, 1, metric(t, r, "gen_ai_server_request_duration_seconds_count", `gen_ai_operation_name="chat"`))
}

// Each turn of a WebSocket is a trace of its own, linked with its connection's.
func TestTurnsAreTraced(t *testing.T) {
	collector := testkit.NewCollector(t)
	_, llm := mock(t, mockllm.Options{})
	r := start(t, config.VLLM, llm, traced(collector))
	ready(t, r)
	conn, _, err := websocket.Dial(t.Context(), r.url+"/v1/responses", nil)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte(`{"type":"response.create","model":"/mnt/models","input":"hi"}`)))
		for {
			_, said, err := conn.Read(t.Context())
			require.NoError(t, err)
			if strings.Contains(string(said), `"type":"response.completed"`) {
				break
			}
		}
	}
	require.NoError(t, conn.Close(websocket.StatusNormalClosure, ""))
	spans := spansOf(t, collector, 5)
	byName := map[string][]*tracepb.Span{}
	for _, s := range spans {
		byName[s.Name] = append(byName[s.Name], s)
	}
	require.Len(t, byName["GET websocket"], 1)
	turns := byName["WebSocket /v1/responses"]
	require.Len(t, turns, 2)
	require.NotEqual(t, turns[0].TraceId, turns[1].TraceId)
	for _, s := range turns {
		require.Equal(t, byName["GET websocket"][0].SpanId, s.Links[0].SpanId)
		requireAttributes(t, s, map[string]string{"gen_ai.response.finish_reasons": "stop", "http.response.status_code": "200"})
	}
	require.Len(t, byName["chat /mnt/models"], 2)
}

// A summary is an attempt like others, in front of the answer's.
func TestCompactionsAreTraced(t *testing.T) {
	collector := testkit.NewCollector(t)
	_, llm := mock(t, mockllm.Options{})
	r := start(t, config.VLLM, llm, traced(collector))
	ready(t, r)
	require.Equal(t, 200, r.post(`{"model":"/mnt/models","input":"`+strings.Repeat("words ", 2000)+`","context_management":[{"type":"compaction","compact_threshold":1000}]}`).status)
	spans := spansOf(t, collector, 4)
	require.Equal(t, []string{"POST /tokenize", "chat /mnt/models", "chat /mnt/models"}, []string{spans[1].Name, spans[2].Name, spans[3].Name})
}

// A collector that is away, slow or in a bad temper costs no request anything, and the
// server's end is bounded.
func TestExportBlocksNothing(t *testing.T) {
	collector := testkit.NewCollector(t)
	gate := make(chan struct{})
	collector.Refuse(func(http.ResponseWriter) bool { <-gate; return true })
	r := start(t, config.VLLM, upstreamOf(t, chats(answering200)), traced(collector), func(c *config.Config) {
		c.Observability.OTLP.Queue, c.Observability.OTLP.Timeout = 64, 50*time.Millisecond
	})
	ready(t, r)
	for range 100 {
		require.Equal(t, 200, r.post(ask).status)
	}
	require.Positive(t, metric(t, r, "antwort_trace_spans_total", `result="dropped"`)+metric(t, r, "antwort_trace_spans_total", `result="failed"`))
	r.log.waitFor(t, "traces cannot be sent")
	begun := time.Now()
	r.stop()
	r.drained()
	require.Less(t, time.Since(begun), guard)
	close(gate)
}

// The end of a server sends what waits.
func TestShutdownSendsWhatWaits(t *testing.T) {
	collector := testkit.NewCollector(t)
	r := start(t, config.VLLM, upstreamOf(t, chats(answering200)), traced(collector), func(c *config.Config) { c.Observability.OTLP.Interval = time.Minute })
	ready(t, r)
	require.Equal(t, 200, r.post(ask).status)
	require.Empty(t, collector.Spans())
	r.stop()
	r.drained()
	require.Len(t, collector.Spans(), 2)
}

// lastAsked is an upstream that keeps the last header.
type lastAsked struct{ last atomic.Pointer[http.Header] }

func (a *lastAsked) answer(w http.ResponseWriter, r *http.Request) {
	a.last.Store(&r.Header)
	answering(w)
}

func (a *lastAsked) header(name string) string { return a.last.Load().Get(name) }
