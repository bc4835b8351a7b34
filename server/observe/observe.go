// Package observe tells those who run the server what it does. Each exchange makes
// one Record; when it has ended, the record goes to the log and to the metrics.
//
//	exchange ─ Record ─► End ─┬─► log line
//	                          ├─► metrics ─► Totals, scrape, or server/otlp
//	   │                      ├─► the last failures
//	   │                      └─► its span ─► server/trace
//	   └─ Begin, Sends, Wrote ─► Flights, until End
//
// Nothing comes back: what is observed decides nothing. Whoever wants to know of
// exchanges too, reads the same record at the same place.
package observe

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"antwort/server/trace"
	"antwort/shared/policy"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Observer has the log and the metrics of one process. It is safe for concurrent
// use.
type Observer struct {
	log      *slog.Logger
	metrics  *metrics
	provider string
	failed   failures
	flights  flights
}

// New makes an observer. provider is a label of all metrics of ours.
func New(log *slog.Logger, provider string) *Observer {
	return &Observer{log: log, metrics: newMetrics(provider), provider: provider}
}

// Registerer is where other rooms put their metrics, under the same prefix.
func (o *Observer) Registerer() prometheus.Registerer { return o.metrics.own }

// Gather reads all metrics.
func (o *Observer) Gather() ([]*dto.MetricFamily, error) { return o.metrics.all.Gather() }

// Handler answers with the metrics.
func (o *Observer) Handler() http.Handler { return o.metrics.handler }

// Begin counts an exchange as one that is under way, until End.
func (o *Observer) Begin(r *Record) {
	o.metrics.inFlight.Inc()
	o.flights.begin(r)
}

// End takes the record of an exchange, which comes here once.
func (o *Observer) End(r *Record) {
	o.flights.end(r)
	r.end()
	o.metrics.count(r)
	o.failed.note(r)
	o.write(r)
	r.Span.End(&trace.Exchange{
		ID: r.ID, Method: method(r.Method), Endpoint: r.Endpoint, Operation: r.Operation, Provider: o.provider, Model: policy.Clip(r.Model, 256), Status: r.Status, Streamed: r.Streamed,
		First: r.FirstToken, Outcome: &r.Outcome, Retries: r.Retries, Limit: r.Limit, Failure: r.Failure,
	})
}

// method is one of few.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodPut, http.MethodPatch, http.MethodOptions:
		return m
	}
	return "_OTHER"
}

// Streams counts streamed answers that are under way: by 1 when one begins, by -1
// when it has ended.
func (o *Observer) Streams(n float64) { o.metrics.streams.Add(n) }

// Panic counts and logs a panic of an exchange. The error is for its record.
func (o *Observer) Panic(r *Record, p any) error {
	o.metrics.panics.Inc()
	o.log.Error("panic", "request_id", r.ID, "endpoint", r.Endpoint, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	return fmt.Errorf("panic: %v", p)
}
