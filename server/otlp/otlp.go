// Package otlp sends what was observed to whoever takes OTLP: an OpenTelemetry
// Collector, for one.
//
//	spans, metrics ─► message ─► Client ─┬─ POST …/v1/traces, …/v1/metrics ─► collector
//	                                     └─ gRPC ──────────────────────────┘
//
// Messages enter in Protobuf, and an error comes back. Nothing is kept: who sends
// waits, and drops what could not be sent in time. It knows of no requests.
package otlp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"time"

	"antwort/shared/config"

	"google.golang.org/protobuf/encoding/protowire"
)

// Signal is a kind of what is observed.
type Signal struct{ path, method string }

// The signals that there are.
var (
	Traces  = Signal{"/v1/traces", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"}
	Metrics = Signal{"/v1/metrics", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"}
)

// Client sends to one endpoint. It is safe for concurrent use.
type Client struct {
	base    string
	grpc    bool
	fields  []config.Field
	timeout time.Duration
	agent   string
	http    http.Client
}

// New makes a client, which connects when there is something to send.
func New(o *config.OTLP, version string) (*Client, error) {
	c := &Client{base: o.Endpoint, grpc: o.Protocol == config.OTLPGRPC, fields: o.Fields(), timeout: o.Timeout, agent: "antwort/" + version}
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 2, IdleConnTimeout: 90 * time.Second, Protocols: new(http.Protocols)}
	if c.grpc {
		t.Protocols.SetHTTP2(true)
		t.Protocols.SetUnencryptedHTTP2(true)
	} else {
		t.Protocols.SetHTTP1(true)
		t.Protocols.SetHTTP2(true)
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("observability.otlp.ca_file: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("observability.otlp.ca_file: no certificate in %s", o.CAFile)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	c.http.Transport = t
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

// Close lets go of connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Wait between two attempts.
const (
	firstWait = 250 * time.Millisecond
	lastWait  = 5 * time.Second
)

// Send sends a message, and again after failures that a further attempt may mend,
// until the time is over. rejected is how many of its parts were not taken.
func (c *Client) Send(ctx context.Context, s Signal, message []byte) (rejected int, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		var after time.Duration
		rejected, after, err = c.once(ctx, s, message)
		if err == nil || after < 0 {
			return rejected, err
		}
		after = max(after, wait/2+rand.N(wait)) //nolint:gosec // spreads attempts, and is no secret
		if end, _ := ctx.Deadline(); time.Until(end) < after {
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, err
		case <-time.After(after):
		}
	}
}

// final is the wait before the next attempt where there is none.
const final = -1

// answerBytes bound what is read of an answer.
const answerBytes = 64 << 10

// once sends a message. after is how long to wait before another attempt, at least.
func (c *Client) once(ctx context.Context, s Signal, message []byte) (rejected int, after time.Duration, err error) {
	url, kind, body := c.base+s.path, "application/x-protobuf", message
	if c.grpc {
		url, kind, body = c.base+s.method, "application/grpc", frame(message)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, final, err
	}
	for _, f := range c.fields {
		req.Header.Set(f.Name, f.Value)
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("User-Agent", c.agent)
	if c.grpc {
		req.Header.Set("Te", "trailers")
	}
	ans, err := c.http.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer ans.Body.Close()
	said, err := io.ReadAll(io.LimitReader(ans.Body, answerBytes))
	switch {
	case err != nil:
		return 0, 0, err
	case c.grpc:
		return ended(ans, said)
	case ans.StatusCode/100 == 2:
		return partly(said), 0, nil
	}
	return 0, retryAfter(ans), fmt.Errorf("status %d", ans.StatusCode)
}

// retryAfter is how long to wait after a refusal of HTTP.
func retryAfter(ans *http.Response) time.Duration {
	switch ans.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(ans.Header.Get("Retry-After"))
		return time.Duration(max(0, min(seconds, 3600))) * time.Second
	}
	return final
}

// frame is a message of gRPC: not compressed, its length, itself.
func frame(message []byte) []byte {
	n := len(message)
	return append([]byte{0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, message...) //nolint:gosec // a queue of spans is far less than 4 GiB
}

// frameHeader is how long what stands before a message is.
const frameHeader = 5

// Codes of gRPC after which the same may be sent again, says OTLP. After 8, which a message
// that is too long gets too, it may only with a time that is said in details.
var mayRepeat = map[string]bool{"1": true, "4": true, "10": true, "11": true, "14": true, "15": true}

var errNoStatus = errors.New("the answer is none of gRPC")

// ended reads the end of an answer of gRPC.
func ended(ans *http.Response, said []byte) (rejected int, after time.Duration, err error) {
	code := ans.Trailer.Get("Grpc-Status")
	if code == "" { // an answer without a message has it in its header
		code = ans.Header.Get("Grpc-Status")
	}
	switch {
	case code == "0" && len(said) >= frameHeader:
		return partly(said[frameHeader:]), 0, nil
	case code == "0":
		return 0, 0, nil
	case code == "":
		return 0, retryAfter(ans), fmt.Errorf("%w: status %d", errNoStatus, ans.StatusCode)
	case mayRepeat[code]:
		return 0, 0, fmt.Errorf("gRPC status %s", code)
	}
	return 0, final, fmt.Errorf("gRPC status %s", code)
}

// partly reads how many parts of a message were not taken: partial_success is field 1 of
// the answer, and the number field 1 of it.
func partly(said []byte) int {
	success := field(said, protowire.BytesType)
	inner, n := protowire.ConsumeBytes(success)
	if n < 0 {
		return 0
	}
	rejected, n := protowire.ConsumeVarint(field(inner, protowire.VarintType))
	if n < 0 || rejected > 1<<30 {
		return 0
	}
	return int(rejected)
}

// field is where the value of field 1 stands, nil when there is none.
func field(message []byte, want protowire.Type) []byte {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil
		}
		message = message[n:]
		if number == 1 && kind == want {
			return message
		}
		if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
			return nil
		}
		message = message[n:]
	}
	return nil
}
