package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"time"

	"antwort/server/dispatch"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// exchange is one request and what becomes of it. It belongs to the handler's
// goroutine, and once detached to the stream's.
type exchange struct {
	gen      *generation
	w        http.ResponseWriter
	r        *http.Request // nil once detached
	endpoint *endpoint
	id       string
	start    time.Time

	// for the log line and the metrics
	method, path string
	status       int              // 0 until something was answered
	sent         int64            // bytes of the answer's body
	client       netip.Addr       // where the request came from
	caller       *policy.Identity // nil: not known, or nobody is asked
	model        string
	streamed     bool
	firstEvent   time.Duration // after start; 0: none
	outcome      responses.Outcome
	retries      int // of calls beside the one below
	failure      failure.Kind
	cause        error // detail for the log, may name addresses

	call *dispatch.Call // nil until the request has a way

	unlink   func() bool // parts the work upstream from the request's context
	upload   *upload     // a body that is passed on while it comes
	detached bool        // a stream's goroutine finishes the exchange
}

// handle answers one request.
func (g *generation) handle(w http.ResponseWriter, r *http.Request) {
	handling(r)
	x := &exchange{gen: g, w: w, r: r, start: time.Now(), method: r.Method, path: r.URL.EscapedPath(), client: g.trusted.client(r)}
	x.endpoint = g.endpoints.find(x.path)
	x.id = requestID(r.Header, g.newID)
	w.Header()["X-Request-Id"] = []string{x.id}
	g.metrics.inFlight.Inc()
	defer x.leave()
	if r.ContentLength != 0 {
		x.limitReading()
	}
	if !x.wellFormed() || !x.identify() {
		return
	}
	if x.endpoint.Allow != "" && !x.endpoint.Allows(r.Method) {
		x.wrongMethod()
		return
	}
	x.endpoint.handle(x)
}

// leave ends the handler: a panic is answered, the exchange finished.
func (x *exchange) leave() {
	p := recover()
	if p != nil && p != http.ErrAbortHandler {
		x.panicked(p)
		if x.status == 0 {
			x.answerFailure(failure.Of(failure.Panic, policy.Internal()))
			p = nil
		}
	}
	if x.detached {
		return
	}
	x.finish()
	if p != nil {
		panic(http.ErrAbortHandler) // the client must not take it for the end
	}
}

func (x *exchange) panicked(p any) {
	x.failure, x.cause = failure.Panic, x.tellPanic(p)
}

// tellPanic counts and logs a panic, from any goroutine.
func (x *exchange) tellPanic(p any) error {
	x.gen.metrics.panics.Inc()
	x.gen.log.Error("panic", "request_id", x.id, "endpoint", x.endpoint.Name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	return fmt.Errorf("panic: %v", p)
}

func (g *generation) unix() int64 { return g.now().Unix() }

// work returns a context for work upstream. It ends, with a cause, by cancel,
// when draining is over, and with the request, until its connection is taken
// over. cancel must be called.
func (x *exchange) work() (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	ending := context.AfterFunc(x.gen.ending, func() { cancel(context.Cause(x.gen.ending)) })
	up := x.upload
	x.unlink = context.AfterFunc(x.r.Context(), func() {
		if up.clientLeft() {
			cancel(dispatch.ErrClientGone)
		}
	})
	client := x.unlink
	return ctx, func(cause error) {
		ending()
		client()
		cancel(cause)
	}
}

func (x *exchange) header() http.Header { return x.w.Header() }

var (
	jsonType  = []string{"application/json"}
	noCaching = []string{"no-cache"}
)

// json answers with a whole body.
func (x *exchange) json(status int, body []byte) {
	h := x.header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.begin(status)
	x.write(body)
}

// flushed is the size of what is written at once, so that its failure shows.
const flushed = 32 << 10

// write writes a part of the answer's body.
func (x *exchange) write(p []byte) {
	if x.sent > 0 {
		x.limitWriting() // anew: begin's limit was for the first part
	}
	n, err := x.w.Write(p)
	if err == nil && len(p) >= flushed {
		err = http.NewResponseController(x.w).Flush()
	}
	x.wrote(n, err)
}

// limitWriting gives the client a time to read the answer, as long as the
// upstream has for silence. It stays for what net/http writes after the
// handler; limitReading and take end it.
func (x *exchange) limitWriting() {
	_ = http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(x.idle()))
}

// idle is how long either side of an answer may be silent.
func (x *exchange) idle() time.Duration {
	if x.call != nil && x.call.Backend != nil {
		return x.call.Idle()
	}
	return x.gen.cfg.Engine.StreamIdleTimeout
}

// begin sends the status and header.
func (x *exchange) begin(status int) {
	x.status = status
	x.limitWriting()
	x.closeAfter(x.header())
	x.w.WriteHeader(status)
}

func (x *exchange) wrote(n int, err error) {
	x.sent += int64(n)
	if err != nil && x.failure == failure.None && x.method != http.MethodHead {
		x.failure, x.cause = failure.ClientGone, err
	}
}

// note records why an exchange failed; the first reason stays.
func (x *exchange) note(kind failure.Kind, cause error) {
	if x.failure == failure.None {
		x.failure, x.cause = kind, cause
	}
}

// answerFailure answers with a step that failed. Nothing was answered before.
func (x *exchange) answerFailure(f *failure.Failure) {
	x.note(f.Kind, f.Cause)
	e := f.Reply
	if e == nil {
		panic(http.ErrAbortHandler)
	}
	for _, field := range f.Fields {
		x.header().Set(field[0], field[1])
	}
	if e.RetryAfter != "" {
		x.header().Set("Retry-After", e.RetryAfter)
	}
	x.json(e.Status, e.AppendBody(make([]byte, 0, 256)))
}

// statusClientGone is logged when nobody was there to be answered.
const statusClientGone = 499

// finish writes the log line and counts. Every exchange comes here once.
func (x *exchange) finish() {
	took := time.Since(x.start)
	if x.call != nil {
		x.call.Release()
		x.retries += x.call.Retries
	}
	if x.status == 0 {
		x.status = statusClientGone
	}
	x.gen.metrics.count(x, took)
	level := slog.LevelInfo
	switch {
	case x.endpoint.quiet:
		level = slog.LevelDebug
	case x.status >= 500 || x.failure != failure.None && x.status < 400:
		level = slog.LevelWarn
	}
	ctx := context.Background()
	if !x.gen.log.Enabled(ctx, level) {
		return
	}
	var room [20]slog.Attr
	attrs := append(room[:0],
		slog.String("request_id", x.id),
		slog.String("method", policy.Clip(x.method, 32)),
		slog.String("path", policy.Clip(x.path, 256)),
		slog.Int("status", x.status),
		slog.Float64("duration_ms", milliseconds(took)),
		slog.Int64("bytes", x.sent))
	if x.client.IsValid() {
		attrs = append(attrs, slog.String("client", x.client.String()))
	}
	if x.caller != nil {
		attrs = append(attrs, slog.String("subject", x.caller.Subject))
		if x.caller.Tenant != "" {
			attrs = append(attrs, slog.String("tenant", x.caller.Tenant))
		}
	}
	if x.model != "" {
		attrs = append(attrs, slog.String("model", policy.Clip(x.model, 256)))
	}
	if x.call != nil && x.call.Backend != nil {
		attrs = append(attrs, slog.String("route", x.call.Pool.Name), slog.String("backend", x.call.Backend.URL))
	}
	if x.streamed {
		attrs = append(attrs, slog.Bool("stream", true))
	}
	if x.firstEvent > 0 {
		attrs = append(attrs, slog.Float64("first_event_ms", milliseconds(x.firstEvent)))
	}
	if x.outcome.HasUsage {
		attrs = append(attrs, slog.Int64("input_tokens", x.outcome.Usage.Input), slog.Int64("output_tokens", x.outcome.Usage.Output))
	}
	if x.retries > 0 {
		attrs = append(attrs, slog.Int("retries", x.retries))
	}
	if x.failure != failure.None {
		attrs = append(attrs, slog.String("failure", x.failure.String()))
	}
	if x.cause != nil {
		attrs = append(attrs, slog.String("cause", policy.Clip(x.cause.Error(), 512)))
	}
	x.gen.log.LogAttrs(ctx, level, "request", attrs...)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// requestID takes the client's id when it is harmless, or makes one.
func requestID(h http.Header, newID func() string) string {
	if v := h["X-Request-Id"]; len(v) == 1 && isRequestID(v[0]) {
		return v[0]
	}
	return "req_" + newID()
}

// isRequestID accepts what can go into logs and headers as it is.
func isRequestID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') &&
			c != '_' && c != '-' && c != '.' && c != ':' && c != '/' && c != '+' && c != '=' {
			return false
		}
	}
	return true
}
