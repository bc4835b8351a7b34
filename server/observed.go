package server

import (
	"context"
	"net/http"
	"strings"

	"antwort/server/dispatch"
	"antwort/server/otlp"
	"antwort/server/trace"
	"antwort/shared/config"
	"antwort/shared/policy"
)

// What is observed of exchanges is sent where the configuration says so: a span of each,
// with one for each attempt at a backend, and the metrics.

// observe makes what sends. Nobody is contacted yet.
func (s *Server) observe(cfg *config.Config, version string) error {
	o := &cfg.Observability.OTLP
	if o.Endpoint == "" {
		return nil
	}
	client, err := otlp.New(o, version)
	if err != nil {
		return err
	}
	opt := trace.Options{Client: client, Log: s.log, Registerer: s.observer.Registerer(), Version: version}
	if s.tracer, err = trace.New(cfg, opt); err != nil {
		return err
	}
	if o.MetricsInterval == 0 {
		return nil
	}
	about, err := trace.Resource(o.ServiceName, version)
	if err != nil {
		return err
	}
	s.pusher = &otlp.Pusher{Client: client, Gather: s.observer.Gather, Resource: about.Attributes(), Interval: o.MetricsInterval, Log: s.log}
	return nil
}

// startPushing sends metrics until stop is called, which sends them for the last time.
func (s *Server) startPushing() (stop func()) {
	if s.pusher == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.pusher.Run(ctx, lastWords)
	}()
	return func() {
		cancel()
		<-done
	}
}

// beginSpan begins the span of an exchange with a client, but for probes and preflights.
func (x *exchange) beginSpan() {
	if x.gen.tracer == nil || x.endpoint.Open {
		return
	}
	name := x.rec.Method + " " + x.rec.Endpoint
	if len(x.rec.Method) > len(http.MethodOptions) {
		name = "HTTP " + x.rec.Endpoint
	}
	x.rec.Span = x.gen.tracer.Begin(trace.Served, name, x.rec.Start, x.gen.tracer.Take(x.r.Header), nil)
}

// operation is what a request to an endpoint, by its path at a backend, is to a model;
// "" where nothing is generated.
func operation(path string) string {
	switch rest, _ := strings.CutPrefix(path, "/v1/"); rest {
	case "chat/completions", "responses", "responses/compact":
		return "chat"
	case "completions":
		return "text_completion"
	case "embeddings":
		return "embeddings"
	}
	return ""
}

// operationOf is that of an exchange.
func operationOf(e *kind, method string) string {
	if method != http.MethodPost || e.Endpoint == policy.InputTokens {
		return ""
	}
	return operation(e.Name)
}

// callTo makes the exchange's call the one of a request to a route's backends.
func (x *exchange) callTo(route int, req *dispatch.Request) {
	pool := x.gen.pools.Route(route)
	path, _, _ := strings.Cut(req.Target, "?")
	asked := trace.Question{Provider: string(pool.Provider), Method: req.Method, Endpoint: path, Model: policy.Clip(x.rec.Model, 256)}
	if req.Method == http.MethodPost {
		asked.Operation = operation(path)
	}
	if asked.Operation == "" && x.endpoint.Endpoint != nil && path == x.rec.Path {
		asked.Endpoint = x.endpoint.Name // the pattern
	}
	x.rec.Span.Asks(asked)
	req.Span = x.rec.Span
	x.call = pool.Call(req)
}
