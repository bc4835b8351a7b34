package observe

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"antwort/server/otlp"
	"antwort/server/process"
	"antwort/server/trace"
	"antwort/shared/config"
	"antwort/shared/responses"

	"github.com/stretchr/testify/require"
)

// BenchmarkObserving is what it costs to observe a request with one attempt at a backend,
// but for the line in the log: metrics alone, with a trace that is not sampled, and with
// one that is, and is sent to a collector. cpu-ns is that of the whole process, sending
// included.
func BenchmarkObserving(b *testing.B) {
	defer process.Ballast()()
	resource := []byte(`{"id":"resp_1","object":"response","status":"completed","incomplete_details":null,"model":"m","output":[{"type":"message","id":"msg_1","content":[{"type":"output_text","text":"hello"}]}],"usage":{}}`)
	for name, ratio := range map[string]int{"metrics": -1, "unsampled": 0, "sampled": 1_000_000} {
		b.Run(name, func(b *testing.B) {
			collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
			defer collector.Close()
			cfg := config.Default()
			cfg.Observability.OTLP.Endpoint, cfg.Observability.OTLP.Queue = collector.URL, 100_000
			o := New(slog.New(slog.DiscardHandler), "vllm")
			var tracer *trace.Tracer
			if ratio >= 0 {
				cfg.Observability.Tracing.SampleRatio = ratio
				client, err := otlp.New(&cfg.Observability.OTLP, "test")
				require.NoError(b, err)
				tracer, err = trace.New(cfg, trace.Options{Client: client, Log: slog.New(slog.DiscardHandler), Registerer: o.Registerer(), Version: "test"})
				require.NoError(b, err)
			}
			header := make([]byte, 0, 512)
			h := http.Header{}
			before := cpu(b)
			b.ReportAllocs()
			for b.Loop() {
				r := &Record{ID: "req_1", Start: time.Now(), Method: "POST", Endpoint: "/v1/responses", Operation: "chat", Model: "m", Known: true, Status: 200, Streamed: true, FirstToken: time.Millisecond}
				r.Span = tracer.Begin(trace.Served, "POST /v1/responses", r.Start, tracer.Take(h), nil)
				o.Begin(r)
				r.Span.Asks(trace.Question{Operation: "chat", Provider: "vllm", Method: "POST", Endpoint: "/v1/chat/completions", Model: "m"})
				r.Span.Try(&trace.Backend{Route: "default", URL: "http://llm.example:8000"})
				header = r.Span.Append(header[:0])
				r.Span.TryAnswered(200)
				r.Span.Answered(resource)
				r.Outcome = responses.Outcome{Status: "completed", HasUsage: true, Usage: responses.Usage{Input: 20, Output: 10}}
				o.End(r)
			}
			require.NoError(b, tracer.Close(b.Context()))
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpu is what the process has used, in nanoseconds.
func cpu(b *testing.B) int64 {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}
