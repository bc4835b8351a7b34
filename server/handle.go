package server

import (
	"context"
	"net/http"
	"strings"
	"time"

	"antwort/server/buffer"
	"antwort/server/console"
	"antwort/server/dispatch"
	"antwort/server/endpoint"
	"antwort/server/header"
	"antwort/server/ingress"
	"antwort/server/limits"
	"antwort/server/observe"
	"antwort/server/reqbody"
	"antwort/server/trace"
	"antwort/server/turns"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/translate"
)

// steps are the way of every request, one after the other. The first that fails
// ends it: its failure is the answer. However a request ends, it is recorded. A
// further step is a line here.
var steps = [...]func(*exchange) *failure.Failure{
	(*exchange).check,
	(*exchange).enter,
	(*exchange).identify,
	(*exchange).admit,
	(*exchange).limit,
	(*exchange).decide,
	(*exchange).answer,
}

// handle answers one request.
func (x *exchange) handle() {
	defer x.leave()
	for _, step := range steps {
		if f := step(x); f != nil {
			x.fail(f)
			return
		}
	}
}

// kind is what a request is by its path, and how it is answered.
type kind = endpoint.Endpoint[*exchange]

// preflight is what a browser asks before it sends the request of a page, whatever its
// path. It has no credential.
var preflight = &kind{Endpoint: &policy.Endpoint{Name: "preflight"}, Open: true, Answer: (*exchange).allowRequest}

// exchange is one request and what becomes of it. It belongs to the handler's
// goroutine, and once detached to the stream's.
type exchange struct {
	gen      *generation
	w        http.ResponseWriter // nil once detached
	r        *http.Request       // nil once detached
	endpoint *kind
	rec      observe.Record
	held     reqbody.Charge
	entered  bool        // it is one of the process's requests
	pass     limits.Pass // what it has taken of its caller's limits
	origin   string      // of the page in a browser that may read the answer; "": none

	decision *policy.Decision // of a request of the Responses API, until it is carried out
	decided  policy.Decision  // where it is
	body     *buffer.Buffer   // that was read for the decision; nil: none was
	upload   *reqbody.Upload  // a body that is passed on while it comes; nil: none is
	turn     *turns.Turn      // that is to be left; nil: there is none
	compacts *compacting      // nil: the request has nothing to do with compactions
	call     *dispatch.Call   // nil until the request has a way

	awaited *translate.Turn // of a streamed answer of which nothing was said while something else is made; nil: there is none

	trial    *console.Trial // that it is; nil: a client's own request
	job      *job           // that is worked on; nil: a client waits
	socket   *socketTurn    // with a client that waits at a WebSocket; nil: at HTTP
	unlink   func() bool    // parts the work upstream from the request's context
	detached bool           // a stream's goroutine ends the exchange
}

// begin makes the exchange of a request, with its record.
func (g *generation) begin(w http.ResponseWriter, r *http.Request) *exchange {
	path := r.URL.EscapedPath()
	x := &exchange{gen: g, w: w, r: r, endpoint: g.endpoints.Find(path), origin: header.Origin(r.Header, g.cfg.Server.CORS.AllowedOrigins)}
	x.rec = observe.Record{
		ID: requestID(r.Header, g.newID), Start: time.Now(), Method: r.Method, Path: path,
		Endpoint: x.endpoint.Name, Quiet: x.endpoint.Quiet, Client: g.trusted.Client(r),
	}
	w.Header()["X-Request-Id"] = []string{x.rec.ID}
	if x.origin != "" && endpoint.IsPreflight(r) {
		x.endpoint = preflight
	}
	if x.endpoint.AsksForWebSocket(r.Method, r.Header.Get("Upgrade")) && x.upgrades() {
		x.endpoint = g.socket
		x.rec.Endpoint = x.endpoint.Name
	}
	x.rec.Operation = operationOf(x.endpoint, r.Method)
	x.beginSpan()
	g.observer.Begin(&x.rec)
	return x
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

// operationOf is what a request to an endpoint is to a model; "" where nothing is
// generated.
func operationOf(e *kind, method string) string {
	if method != http.MethodPost || e.Endpoint == policy.InputTokens {
		return ""
	}
	return trace.Operation(e.Name)
}

// callTo makes the exchange's call the one of a request to a route's backends.
func (x *exchange) callTo(route int, req *dispatch.Request) {
	pool := x.gen.pools.Route(route)
	path, _, _ := strings.Cut(req.Target, "?")
	asked := trace.Question{Provider: string(pool.Provider), Method: req.Method, Endpoint: path, Model: policy.Clip(x.rec.Model, 256)}
	if req.Method == http.MethodPost {
		asked.Operation = trace.Operation(path)
	}
	if asked.Operation == "" && x.endpoint.Endpoint != nil && path == x.rec.Path {
		asked.Endpoint = x.endpoint.Name // the pattern
	}
	x.rec.Span.Asks(asked)
	req.Span = x.rec.Span
	x.call = pool.Call(req)
	x.gen.observer.Sends(&x.rec, pool.Name)
}

// maxTarget bounds a request's target, in bytes (RFC 9110 section 4.1).
const maxTarget = 8 << 10

// check refuses a request whose header others could read in another way, or whose
// target is too long, or that was here before.
func (x *exchange) check() *failure.Failure {
	if x.r.ContentLength != 0 {
		x.reqBody().LimitTime()
	}
	if problem := ingress.Begin(x.r); problem != "" {
		return failure.Of(failure.AmbiguousRequest, responses.NewError(http.StatusBadRequest, "invalid_http", "the request is not valid HTTP: "+problem)).With("Connection", "close")
	}
	if len(x.r.RequestURI) > maxTarget {
		x.rec.Path = x.rec.Path[:min(len(x.rec.Path), 256)]
		return failure.Of(failure.TargetTooLong, responses.NewError(http.StatusRequestURITooLong, "uri_too_long", "the request's path and query are over this server's limit of 8192 bytes"))
	}
	if header.CameBack(x.r.Header, x.gen.hop) {
		return failure.Of(failure.Loop, responses.LoopDetected())
	}
	return nil
}

// enter makes the exchange one of the process's, of which there may be only so many. The
// probes and the metrics are none, nor are connections.
func (x *exchange) enter() *failure.Failure {
	if x.endpoint.Open || x.endpoint == x.gen.socket {
		return nil
	}
	x.entered = true
	if n, most := x.gen.running.Add(1), int64(x.gen.cfg.Limits.MaxRequests); most > 0 && n > most {
		return failure.Of(failure.Overloaded, policy.Overloaded())
	}
	return nil
}

// identify finds out who calls. Every path but the probes and the metrics asks for
// a credential, unknown ones too.
func (x *exchange) identify() (f *failure.Failure) {
	switch {
	case x.trial != nil:
		x.rec.Caller = x.trial.Caller()
	case !x.endpoint.Open:
		x.rec.Caller, f = x.gen.callers.Identify(x.r)
	}
	return f
}

// admit makes the exchange one of those that hold memory. The probes and the metrics
// need none.
func (x *exchange) admit() *failure.Failure {
	if x.endpoint.Open || x.gen.held.Begin(&x.held, x.gen.cfg.Limits.InFlight(false)) {
		return nil
	}
	return x.held.Refusal()
}

// limit takes what the request uses of its caller's limits, as far as that does not depend
// on its body. Only what models answer is limited.
func (x *exchange) limit() *failure.Failure {
	if e := x.endpoint; !e.Routed || !e.NamesModel(x.r.Method) {
		return nil
	}
	return x.gen.rules.Enter(x.r.Context(), &x.pass, x.rec.Caller)
}

// decide finds out what becomes of the request.
func (x *exchange) decide() *failure.Failure {
	e := x.endpoint
	switch {
	case e.Allow != "" && !e.Allows(x.r.Method):
		return x.wrongMethod()
	case !e.Routed:
		return nil
	}
	var f *failure.Failure
	d := &x.decided
	*d, f = x.gen.decider.Begin(policy.Request{Endpoint: e.Endpoint, Method: x.rec.Method, Caller: x.rec.Caller, HasBody: x.r.ContentLength != 0, Field: x.field})
	if f == nil && d.Need != policy.Nothing {
		x.body, f = x.readBody()
	}
	if f == nil && d.Need == policy.Body {
		f = x.held.Parsing(x.body.B, x.gen.cfg.Limits.JSONValues, func() *failure.Failure { return d.Body(x.body.B) })
	}
	x.rec.Model, x.decision = d.Model, d
	return f
}

// wrongMethod refuses a method that the endpoint does not have.
func (x *exchange) wrongMethod() *failure.Failure {
	e, upgrade := x.endpoint, x.r.Header.Get("Upgrade")
	f := failure.Of(failure.WrongMethod, e.WrongMethod(x.r.Method, upgrade)).With("Allow", e.Allow)
	if e.AsksForWebSocket(x.r.Method, upgrade) {
		f = f.With("Connection", "close")
	}
	return f
}

// reqBody is the request's body.
func (x *exchange) reqBody() *reqbody.Body {
	l := &x.gen.cfg.Limits
	return reqbody.Of(x.w, x.r, reqbody.Limits{Bytes: l.RequestBodyBytes, Decoded: l.DecodedBodyBytes, Time: x.gen.cfg.Server.ReadTimeout}, &x.held)
}

// field returns the values of a header field that decisions depend on.
func (x *exchange) field(name string) []string { return x.r.Header[x.gen.fields[name]] }

// answer answers the request by its endpoint.
func (x *exchange) answer() *failure.Failure { return x.endpoint.Answer(x) }

// leave ends the handler: a panic is answered, the exchange recorded.
func (x *exchange) leave() {
	p := recover()
	if p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a panic's value, which net/http compares so
		x.Panicked(p)
		if x.rec.Status == 0 {
			x.fail(failure.Of(failure.Panic, policy.Internal()))
			p = nil
		}
	}
	if x.detached {
		return
	}
	x.record()
	if p != nil {
		panic(http.ErrAbortHandler) // the client must not take it for the end
	}
}

// Panicked notes a panic.
func (x *exchange) Panicked(p any) {
	x.rec.Failure, x.rec.Cause = failure.Panic, x.gen.observer.Panic(&x.rec, p)
}

// record completes the record and hands it in. Every exchange comes here once.
func (x *exchange) record() {
	x.turn.Leave()
	if c := x.call; c != nil {
		c.Release()
		x.rec.Retries += c.Retries
		if c.Backend != nil {
			x.rec.Route, x.rec.Backend = c.Pool.Name, c.Backend.URL
			model := x.rec.Model
			x.rec.Known = model != "" && (model == x.gen.cfg.Engine.DefaultModel || c.Pool.Knows(c.Backend, model))
		}
	}
	x.held.Release()
	x.settle()
	if x.entered {
		x.gen.running.Add(-1)
	}
	if x.trial != nil {
		x.trial.Ended(&x.rec)
	}
	x.gen.observer.End(&x.rec)
}

// settle counts what the request has used in the end.
func (x *exchange) settle() {
	x.rec.Limit = x.pass.Limit()
	x.pass.Settle(&x.rec, x.call != nil && x.call.Backend != nil)
}

// Unix is the time for what answers say.
func (x *exchange) Unix() int64 { return x.gen.now().Unix() }

// work returns a context for work upstream. It ends, with a cause, by cancel,
// when draining is over, and with the request, until its connection is taken
// over. cancel must be called.
func (x *exchange) work() (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	ending := context.AfterFunc(x.gen.ending, func() { cancel(context.Cause(x.gen.ending)) })
	up := x.upload
	x.unlink = context.AfterFunc(x.r.Context(), func() {
		if up.ClientLeft() {
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

// What the server answers by itself.

func (x *exchange) allowRequest() *failure.Failure {
	header.AllowRequest(x.header())
	x.start(http.StatusNoContent)
	return nil
}

func (x *exchange) unknownPath() *failure.Failure {
	return failure.Of(failure.UnknownPath, policy.UnknownPath(x.r.URL.EscapedPath()))
}

func (x *exchange) health() *failure.Failure {
	x.text(http.StatusOK, "ok\n")
	return nil
}

func (x *exchange) ready() *failure.Failure {
	x.text(x.gen.readiness())
	return nil
}

func (x *exchange) scrape() *failure.Failure {
	x.rec.Status = http.StatusOK
	x.limitWriting()
	x.gen.observer.Handler().ServeHTTP(x.w, x.r)
	return nil
}
