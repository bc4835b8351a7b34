package gateway_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/chain"
	"antwort/e2e/checkout"
	"antwort/e2e/envoy"
	"antwort/server/testkit"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// One trace goes from the client through Envoy and the server to the model: each span is
// below the one before.
func TestOneTrace(t *testing.T) {
	for _, protocol := range []string{"http", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			collector := testkit.NewCollector(t)
			tiers := startTraced(t, collector.URL, protocol)
			const trace = "0af7651916cd43dd8448eb211c80319c"
			askTraced(t, tiers.BaseURL, "00-"+trace+"-b7ad6b7169203331-01")
			var seen []string
			require.Eventually(t, func() bool {
				seen = chainOf(collector.Spans(), trace)
				return len(seen) >= 4
			}, time.Minute, 50*time.Millisecond, "%v", seen)
			t.Logf("%s", strings.Join(seen, "\n"))
			require.Len(t, seen, 4)
			assert.Contains(t, seen[0], "SERVER")
			assert.Contains(t, seen[1], "CLIENT")
			assert.Equal(t, "SPAN_KIND_SERVER POST /v1/responses", seen[2])
			assert.Equal(t, "SPAN_KIND_CLIENT chat /mnt/models", seen[3])
		})
	}
}

// chainOf are the spans of a trace, from the client on.
func chainOf(spans []*tracepb.Span, trace string) (names []string) {
	parent := "b7ad6b7169203331"
	for more := true; more; {
		more = false
		for _, s := range spans {
			if fmt.Sprintf("%x", s.TraceId) == trace && fmt.Sprintf("%x", s.ParentSpanId) == parent {
				names, parent, more = append(names, s.Kind.String()+" "+s.Name), fmt.Sprintf("%x", s.SpanId), true
				break
			}
		}
	}
	return names
}

// startTraced starts Envoy with the filter in front of a server in front of a model, which
// send their traces to a collector.
func startTraced(t *testing.T, endpoint, protocol string) *chain.Chain {
	t.Helper()
	t.Setenv("ENVOY", envoy.Find(t))
	c, err := chain.Start(context.Background(), chain.Options{
		Antwort: checkout.Antwort(t), Tiers: []string{"envoy", "serve"}, Dir: t.TempDir(), Log: t.Logf,
		Observability: "{otlp: {endpoint: '" + endpoint + "', protocol: " + protocol + ", interval: 100ms, metrics_interval: 1s}}",
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Stop()) })
	return c
}

func askTraced(t *testing.T, url, traceparent string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/responses", strings.NewReader(`{"model":"/mnt/models","input":"hi"}`))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Traceparent", traceparent)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

// A real OpenTelemetry Collector, of its own modules, takes the trace of all tiers over both
// protocols.
func TestOneTraceInACollector(t *testing.T) {
	const trace = "1af7651916cd43dd8448eb211c80319c"
	for _, protocol := range []string{"http", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			endpoint, log := startCollector(t, protocol)
			c := startTraced(t, endpoint, protocol)
			askTraced(t, c.BaseURL, "00-"+trace+"-b7ad6b7169203331-01")
			var said string
			require.Eventually(t, func() bool {
				text, err := os.ReadFile(log)
				require.NoError(t, err)
				said = string(text)
				return strings.Count(said, trace) >= 4 && strings.Contains(said, "gen_ai.server.request.duration")
			}, time.Minute, 100*time.Millisecond, "the collector says: %s", tailOf{&said})
			for _, words := range []string{"Name           : ingress", "Name           : POST /v1/responses", "Name           : chat /mnt/models",
				"gen_ai.usage.output_tokens: Int(", "service.name: Str(antwort)", "gen_ai.response.finish_reasons: Slice([\"stop\"])", "Kind           : Client"} {
				require.Contains(t, said, words)
			}
		})
	}
}

// tailOf is the end of a text, when it is asked for.
type tailOf struct{ text *string }

func (l tailOf) String() string { return (*l.text)[max(0, len(*l.text)-3000):] }

// startCollector builds e2e/collector, which takes minutes the first time, and runs it. That
// is done where TEST_COLLECTOR says required.
func startCollector(t *testing.T, protocol string) (endpoint, log string) {
	t.Helper()
	if os.Getenv("TEST_COLLECTOR") != "required" {
		t.Skip("run make e2e-collector")
	}
	dir := t.TempDir()
	binary := filepath.Join(collectorCache(t), "collector")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", binary, ".")
	build.Dir = "../../collector"
	build.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the collector does not build: %s", out)
	}
	port, err := chain.FreePort()
	require.NoError(t, err)
	at := fmt.Sprintf("127.0.0.1:%d", port)
	file := filepath.Join(dir, "collector.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`receivers: {otlp: {protocols: {`+protocol+`: {endpoint: "`+at+`"}}}}
exporters: {debug: {verbosity: detailed}}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [debug]}
    metrics: {receivers: [otlp], exporters: [debug]}
`), 0o600))
	log = filepath.Join(dir, "collector.log")
	p, err := chain.StartProcess(context.Background(), "collector", log, binary, file)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Stop() })
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", at)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	}, time.Minute, 50*time.Millisecond)
	return "http://" + at, log
}

// collectorCache is where the binary is kept between runs.
func collectorCache(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../.cache/collector")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	return dir
}
