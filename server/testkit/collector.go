package testkit

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector takes OTLP, over HTTP and over gRPC, and keeps what comes.
type Collector struct {
	URL string

	mu      sync.Mutex
	spans   []*tracepb.Span
	metrics []*metricspb.Metric
	fields  http.Header
	refuse  func(http.ResponseWriter) bool
}

// NewCollector starts a collector that ends with the test.
func NewCollector(t testing.TB) *Collector {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Collector{URL: "http://" + ln.Addr().String()}
	s := &http.Server{Handler: c, Protocols: new(http.Protocols), ReadHeaderTimeout: time.Minute}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = s.Close() })
	return c
}

// Refuse lets f answer in the collector's place, as long as it returns true.
func (c *Collector) Refuse(f func(http.ResponseWriter) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = f
}

// ServeHTTP takes what is sent.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || c.refuse != nil && c.refuse(w) {
		return
	}
	c.fields = r.Header
	grpc := r.Header.Get("Content-Type") == "application/grpc"
	if grpc {
		w.Header().Set("Trailer", "Grpc-Status")
		w.Header().Set("Content-Type", "application/grpc")
		if len(body) < 5 || body[0] != 0 || int(binary.BigEndian.Uint32(body[1:])) != len(body)-5 || r.ProtoMajor != 2 {
			w.Header().Set("Grpc-Status", "13")
			return
		}
		body = body[5:]
	}
	if strings.Contains(strings.ToLower(r.URL.Path), "metrics") {
		var data metricspb.MetricsData
		err = proto.Unmarshal(body, &data)
		for _, r := range data.GetResourceMetrics() {
			for _, s := range r.GetScopeMetrics() {
				c.metrics = append(c.metrics, s.GetMetrics()...)
			}
		}
	} else {
		var data tracepb.TracesData
		err = proto.Unmarshal(body, &data)
		for _, r := range data.GetResourceSpans() {
			for _, s := range r.GetScopeSpans() {
				c.spans = append(c.spans, s.GetSpans()...)
			}
		}
	}
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case grpc:
		_, _ = w.Write(make([]byte, 5)) // an empty message
		w.Header().Set("Grpc-Status", "0")
	}
}

// Spans are those that have come.
func (c *Collector) Spans() []*tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*tracepb.Span(nil), c.spans...)
}

// Metrics are those that have come.
func (c *Collector) Metrics() []*metricspb.Metric {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*metricspb.Metric(nil), c.metrics...)
}

// Header is that of what came last.
func (c *Collector) Header() http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fields
}
