package otlp

import (
	"context"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"antwort/server/testkit"
	"antwort/shared/config"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
)

func options(endpoint, protocol string) *config.OTLP {
	return &config.OTLP{Endpoint: endpoint, Protocol: protocol, Timeout: 30 * time.Second}
}

// Metrics are sent as they are gathered; those of the conventions under their own names.
func TestMetricsAreSent(t *testing.T) {
	for _, protocol := range []string{config.OTLPHTTP, config.OTLPGRPC} {
		t.Run(protocol, func(t *testing.T) {
			collector := testkit.NewCollector(t)
			client, err := New(options(collector.URL, protocol), "test")
			require.NoError(t, err)
			reg := prometheus.NewRegistry()
			requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "antwort_requests_total"}, []string{"code"})
			duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gen_ai_server_time_to_first_token_seconds", Buckets: []float64{1, 2}}, []string{"gen_ai_request_model", "error_type"})
			held := prometheus.NewGauge(prometheus.GaugeOpts{Name: "antwort_in_flight_bytes"})
			reg.MustRegister(requests, duration, held)
			requests.WithLabelValues("200").Add(3)
			held.Set(7)
			for _, seconds := range []float64{.5, 1.5, 1.6, 9} {
				duration.WithLabelValues("m", "").Observe(seconds)
			}
			ctx, stop := context.WithCancel(t.Context())
			stop() // it is sent once more at the end
			p := &Pusher{Client: client, Gather: reg.Gather, Resource: []attribute.KeyValue{attribute.String("service.name", "a")}, Interval: time.Hour, Log: slog.New(slog.DiscardHandler)}
			p.Run(ctx, 30*time.Second)
			got := map[string]*metricspb.Metric{}
			for _, m := range collector.Metrics() {
				got[m.Name] = m
			}
			require.Len(t, got, 3)
			sum := got["antwort_requests_total"].GetSum()
			require.True(t, sum.IsMonotonic)
			require.EqualValues(t, 3, sum.DataPoints[0].GetAsDouble())
			require.EqualValues(t, 7, got["antwort_in_flight_bytes"].GetGauge().DataPoints[0].GetAsDouble())
			m := got["gen_ai.server.time_to_first_token"]
			require.Equal(t, "s", m.Unit)
			point := m.GetHistogram().DataPoints[0]
			require.Equal(t, []uint64{1, 2, 1}, point.BucketCounts)
			require.Equal(t, []float64{1, 2}, point.ExplicitBounds)
			require.Len(t, point.Attributes, 1)
			require.Equal(t, "gen_ai.request.model", point.Attributes[0].Key)
		})
	}
}

func TestNamesOfTheConventions(t *testing.T) {
	for name, want := range map[string][2]string{
		"gen_ai_server_request_duration_seconds":      {"gen_ai.server.request.duration", "s"},
		"gen_ai_server_time_per_output_token_seconds": {"gen_ai.server.time_per_output_token", "s"},
		"gen_ai_client_token_usage":                   {"gen_ai.client.token.usage", "{token}"},
	} {
		dotted, unit := conventional(name)
		require.Equal(t, want, [2]string{dotted, unit})
	}
}

// Who is busy is asked again; who refuses is not.
func TestWhatIsSentAgain(t *testing.T) {
	for _, protocol := range []string{config.OTLPHTTP, config.OTLPGRPC} {
		for name, c := range map[string]struct {
			status int
			code   string
			again  bool
		}{"busy": {503, "14", true}, "refuses": {400, "3", false}} {
			t.Run(protocol+" "+name, func(t *testing.T) {
				collector := testkit.NewCollector(t)
				tries := 0
				collector.Refuse(func(w http.ResponseWriter) bool {
					if tries++; tries > 1 {
						return false
					}
					if protocol == config.OTLPGRPC {
						w.Header().Set("Grpc-Status", c.code)
					} else {
						w.WriteHeader(c.status)
					}
					return true
				})
				client, err := New(options(collector.URL, protocol), "test")
				require.NoError(t, err)
				_, err = client.Send(t.Context(), Traces, nil)
				if c.again {
					require.NoError(t, err)
					require.Equal(t, 2, tries)
					return
				}
				require.Error(t, err)
				require.Equal(t, 1, tries)
			})
		}
	}
}

// What a collector has not taken of a message, it says.
func TestPartsThatAreRefused(t *testing.T) {
	require.Equal(t, 300, partly([]byte{0x0a, 0x03, 0x08, 0xac, 0x02}))
	for _, said := range [][]byte{nil, {0x0a}, {0x0a, 0x00}, {0x12, 0x00}, {0xff}, []byte("nonsense")} {
		require.Zero(t, partly(said))
	}
}

// The endpoint's certificate is checked, by the authorities that are named.
func TestAuthorities(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	o := options(s.URL, config.OTLPHTTP)
	o.Timeout = 3 * time.Second
	client, err := New(o, "test")
	require.NoError(t, err)
	_, err = client.Send(t.Context(), Traces, nil)
	require.ErrorContains(t, err, "certificate")
	o = options(s.URL, config.OTLPHTTP)
	o.CAFile = file
	client, err = New(o, "test")
	require.NoError(t, err)
	_, err = client.Send(t.Context(), Traces, nil)
	require.NoError(t, err)
	o.CAFile = "nowhere"
	_, err = New(o, "test")
	require.ErrorContains(t, err, "observability.otlp.ca_file")
}
