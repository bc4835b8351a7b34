package trace

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"antwort/shared/failure"
	"antwort/shared/responses"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	otel "go.opentelemetry.io/otel/trace"
)

// Span is that of an exchange, with those of its attempts at backends. One goroutine at a
// time uses it. nil is of an exchange that is not traced.
type Span struct {
	tracer *Tracer
	span   otel.Span
	of     otel.SpanContext
	ctx    context.Context // with span
	parent Parent          // of span

	asks  Question
	try   otel.Span // the attempt under way; nil: there is none
	since time.Time // when it began
	tries int
	bad   bool                 // it has failed already
	attrs []attribute.KeyValue // of the attempt, until its end

	room *room // that attributes are gathered in; nil: the span is not sampled

	answer answer
	said   *said // what people write; nil: it is nobody's business
}

// room is for the attributes of an exchange, and of one attempt. The SDK copies them.
type room struct{ exchange, try [24]attribute.KeyValue }

var rooms = sync.Pool{New: func() any { return new(room) }}

// Kind is who asks for what a span is about.
type Kind = otel.SpanKind

// The kinds of exchanges.
const (
	Served  = otel.SpanKindServer   // a client waits
	Handled = otel.SpanKindConsumer // it was told that somebody would see to it
)

// Begin begins the span of an exchange. link is another exchange that it belongs to, and
// may be nil.
func (t *Tracer) Begin(kind Kind, name string, start time.Time, parent Parent, link *Span) *Span {
	if t == nil {
		return nil
	}
	s := &Span{tracer: t, parent: parent}
	ctx := context.Background()
	if parent.of.IsValid() {
		ctx = otel.ContextWithRemoteSpanContext(ctx, parent.of)
	}
	opt := []otel.SpanStartOption{otel.WithSpanKind(kind), otel.WithTimestamp(start)}
	if link != nil {
		opt = append(opt, otel.WithLinks(otel.Link{SpanContext: link.of}))
	}
	s.ctx, s.span = t.tracer.Start(ctx, name, opt...)
	s.of = s.span.SpanContext()
	if s.Sampled() {
		s.room = rooms.Get().(*room)
		if most := t.capture.Load(); most > 0 {
			s.said = &said{most: int(most)}
		}
	}
	return s
}

// Sampled reports whether the span will be sent.
func (s *Span) Sampled() bool { return s != nil && s.of.IsSampled() }

// TraceID is that of the trace as it is written, "" without one.
func (s *Span) TraceID() string {
	if s == nil {
		return ""
	}
	return s.of.TraceID().String()
}

// Parent is the span that the exchange came from.
func (s *Span) Parent() Parent {
	if s == nil {
		return Parent{}
	}
	return s.parent
}

// Fields are the exchange's context for whoever goes on with it later.
func (s *Span) Fields() http.Header {
	if s == nil {
		return nil
	}
	h := http.Header{parentField: {string(appendParent(nil, s.of))}}
	if state := s.of.TraceState().String(); state != "" {
		h[stateField] = []string{state}
	}
	return h
}

// Append appends the lines with the context of the attempt under way, for its backend.
func (s *Span) Append(dst []byte) []byte {
	if s == nil {
		return dst
	}
	of := s.of
	if s.try != nil {
		of = s.try.SpanContext()
	}
	dst = append(appendParent(append(dst, parentField+": "...), of), "\r\n"...)
	if state := s.of.TraceState().String(); state != "" {
		dst = append(append(append(dst, stateField+": "...), state...), "\r\n"...)
	}
	return dst
}

// Question is what a backend is asked.
type Question struct {
	Operation string // of gen_ai.operation.name; "": it generates nothing
	Provider  string
	Method    string
	Endpoint  string // "/v1/chat/completions"
	Model     string
}

// Asks says what the attempts to come are about.
func (s *Span) Asks(q Question) {
	if s.Sampled() {
		s.asks, s.tries = q, 0
	}
}

// Backend is whom an attempt is made at.
type Backend struct {
	Route string
	URL   string
	Model string // its name for the model; "": as it was asked for
}

// Try begins an attempt; the one before has ended then.
func (s *Span) Try(b *Backend) {
	if !s.Sampled() {
		return
	}
	s.endTry()
	q := &s.asks
	name := q.Method + " " + q.Endpoint
	model := q.Model
	if b.Model != "" {
		model = b.Model
	}
	attrs := append(s.room.try[:0], attribute.String("http.request.method", q.Method), attribute.String("antwort.route", b.Route))
	if q.Operation != "" {
		name = q.Operation
		attrs = append(attrs, attribute.String("gen_ai.operation.name", q.Operation), attribute.String("gen_ai.provider.name", q.Provider))
		if model != "" {
			name += " " + model
			attrs = append(attrs, attribute.String("gen_ai.request.model", model))
		}
	}
	if u, err := url.Parse(b.URL); err == nil {
		attrs = append(attrs, attribute.String("server.address", u.Hostname()), attribute.Int("server.port", port(u)))
	}
	if s.tries > 0 {
		attrs = append(attrs, attribute.Int("http.request.resend_count", s.tries))
	}
	s.tries, s.bad, s.since = s.tries+1, false, time.Now()
	_, s.try = s.tracer.tracer.Start(s.ctx, name, otel.WithSpanKind(otel.SpanKindClient), otel.WithTimestamp(s.since))
	s.attrs = attrs
}

func port(u *url.URL) int {
	if n, err := strconv.Atoi(u.Port()); err == nil {
		return n
	}
	if u.Scheme == "https" {
		return 443
	}
	return 80
}

// TryAnswered says that the attempt has an answer with this status.
func (s *Span) TryAnswered(status int) {
	if s == nil || s.try == nil {
		return
	}
	s.attrs = append(s.attrs, attribute.Int("http.response.status_code", status))
	if status >= http.StatusBadRequest {
		s.TryFailed(strconv.Itoa(status))
	}
}

// TryFailed says why the attempt failed, in a word.
func (s *Span) TryFailed(why string) {
	if s == nil || s.try == nil || s.bad {
		return
	}
	s.bad = true
	s.try.SetStatus(codes.Error, why)
	s.attrs = append(s.attrs, attribute.String("error.type", why))
}

// TryEnded ends the attempt.
func (s *Span) TryEnded() {
	if s != nil {
		s.endTry()
	}
}

func (s *Span) endTry() {
	if s.try != nil {
		s.try.SetAttributes(s.attrs...)
		s.try.End()
		s.try, s.attrs = nil, nil
	}
}

// Exchange is what is known of an exchange at its end.
type Exchange struct {
	ID        string // of the request
	Method    string // one of few
	Endpoint  string
	Operation string // of gen_ai.operation.name; "": nothing was generated
	Provider  string
	Model     string // that was asked for
	Status    int
	Streamed  bool
	First     time.Duration // from its start to the first token; 0: not known
	Outcome   *responses.Outcome
	Retries   int
	Limit     string // that has refused it
	Failure   failure.Kind
}

// End ends the span, and that of the last attempt.
func (s *Span) End(e *Exchange) {
	if s == nil {
		return
	}
	if !s.of.IsSampled() {
		s.span.End()
		return
	}
	attrs := append(s.room.exchange[:0],
		attribute.String("http.request.method", e.Method), attribute.String("http.route", e.Endpoint),
		attribute.Int("http.response.status_code", e.Status), attribute.String("antwort.request.id", e.ID))
	if e.Retries > 0 {
		attrs = append(attrs, attribute.Int("antwort.retries", e.Retries))
	}
	if e.Limit != "" {
		attrs = append(attrs, attribute.String("antwort.limit", e.Limit))
	}
	if e.Operation != "" {
		attrs = append(attrs, attribute.String("gen_ai.operation.name", e.Operation), attribute.String("gen_ai.provider.name", e.Provider),
			attribute.Bool("gen_ai.request.stream", e.Streamed))
		if e.Model != "" {
			attrs = append(attrs, attribute.String("gen_ai.request.model", e.Model))
		}
		at := len(attrs)
		attrs = used(s.answer.attributes(attrs), e.Outcome)
		if s.try != nil {
			s.attrs = append(s.attrs, attrs[at:]...)
			if s.asks.Model == "" && e.Model != "" && s.asks.Operation != "" { // nobody had read the request
				s.try.SetName(s.asks.Operation + " " + e.Model)
				s.attrs = append(s.attrs, attribute.String("gen_ai.request.model", e.Model))
			}
		}
		if e.First > 0 {
			attrs = append(attrs, attribute.Float64("gen_ai.response.time_to_first_chunk", e.First.Seconds()))
		}
		attrs = s.said.attributes(attrs)
	}
	if e.Failure != failure.None {
		attrs = append(attrs, attribute.String("error.type", e.Failure.String()))
		if e.Status >= http.StatusInternalServerError || e.Status < http.StatusBadRequest {
			s.span.SetStatus(codes.Error, e.Failure.String())
		}
		if ofUpstream(e.Failure) {
			s.TryFailed(e.Failure.String())
		}
	}
	s.endTry()
	s.span.SetAttributes(attrs...)
	s.span.End()
	clear(s.room.exchange[:])
	clear(s.room.try[:])
	rooms.Put(s.room)
	s.room = nil
}

// used are the attributes of what an answer has used.
func used(attrs []attribute.KeyValue, o *responses.Outcome) []attribute.KeyValue {
	if !o.HasUsage {
		return attrs
	}
	u := &o.Usage
	attrs = append(attrs, attribute.Int64("gen_ai.usage.input_tokens", u.Input), attribute.Int64("gen_ai.usage.output_tokens", u.Output))
	if u.Cached > 0 {
		attrs = append(attrs, attribute.Int64("gen_ai.usage.cache_read.input_tokens", u.Cached))
	}
	if u.Reasoning > 0 {
		attrs = append(attrs, attribute.Int64("gen_ai.usage.reasoning.output_tokens", u.Reasoning))
	}
	return attrs
}

// ofUpstream reports whether a failure is that of an attempt.
func ofUpstream(k failure.Kind) bool {
	return k >= failure.UpstreamConnect && k <= failure.UpstreamSilent
}
