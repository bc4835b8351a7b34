package cli

import (
	"strconv"
	"strings"

	"antwort/shared/config"
)

// traces says which requests are traced, and where that goes.
func traces(c *config.Config) string {
	o := &c.Observability
	if o.OTLP.Endpoint == "" {
		return "none: a traceparent passes"
	}
	text := "all requests"
	if o.Tracing.SampleRatio < 1_000_000 {
		text = "of requests that are not traced already " + strconv.FormatFloat(float64(o.Tracing.SampleRatio)/1e4, 'f', -1, 64) + " %"
	}
	text += ", to " + o.OTLP.Endpoint + " by " + strings.ToUpper(o.OTLP.Protocol) + " as " + o.OTLP.ServiceName
	if o.OTLP.MetricsInterval > 0 {
		text += ", with the metrics every " + c.Text("observability.otlp.metrics_interval")
	}
	if o.Capture == 0 {
		return text + "; nothing of what people write is in them"
	}
	return text + "; up to " + c.Text("observability.capture") + " of what people write, and of its answer, is in them"
}

// traceWarnings are what is allowed of tracing but probably not meant.
func traceWarnings(c *config.Config) []string {
	o := &c.Observability.OTLP
	host, clear := strings.CutPrefix(o.Endpoint, "http://")
	if clear && (o.Headers.IsSet() || c.Observability.Capture > 0) && !strings.HasPrefix(host, "127.") && !strings.HasPrefix(host, "localhost") && !strings.HasPrefix(host, "[::1]") {
		return []string{"observability.otlp.endpoint: header fields and what people write go in clear: use https://, unless nobody is between here and " + host}
	}
	return nil
}
