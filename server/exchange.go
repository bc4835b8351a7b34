package server

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"antwort/server/dispatch"
	"antwort/server/observe"
	"antwort/shared/failure"
	"antwort/shared/policy"
)

// exchange is one request and what becomes of it. It belongs to the handler's
// goroutine, and once detached to the stream's.
type exchange struct {
	gen      *generation
	w        http.ResponseWriter
	r        *http.Request // nil once detached
	endpoint *endpoint
	rec      observe.Record
	origin   string // of the page in a browser that may read the answer; "": none

	call *dispatch.Call // nil until the request has a way

	unlink   func() bool // parts the work upstream from the request's context
	upload   *upload     // a body that is passed on while it comes
	detached bool        // a stream's goroutine finishes the exchange
}

// handle answers one request.
func (g *generation) handle(w http.ResponseWriter, r *http.Request) {
	x := &exchange{gen: g, w: w, r: r, endpoint: g.endpoints.find(r.URL.EscapedPath())}
	x.rec = observe.Record{
		ID: requestID(r.Header, g.newID), Start: time.Now(), Method: r.Method, Path: r.URL.EscapedPath(),
		Endpoint: x.endpoint.Name, Quiet: x.endpoint.quiet, Client: g.trusted.client(r),
	}
	w.Header()["X-Request-Id"] = []string{x.rec.ID}
	x.readOrigin()
	g.observer.Begin()
	defer x.leave()
	if r.ContentLength != 0 {
		x.limitReading()
	}
	if !x.wellFormed() || x.preflight() || !x.identify() {
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
		if x.rec.Status == 0 {
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
	x.rec.Failure, x.rec.Cause = failure.Panic, x.gen.observer.Panic(&x.rec, p)
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
	if x.rec.Sent > 0 {
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
	x.rec.Status = status
	x.limitWriting()
	x.allowOrigin(x.header())
	x.closeAfter(x.header())
	x.w.WriteHeader(status)
}

func (x *exchange) wrote(n int, err error) {
	x.rec.Sent += int64(n)
	if err != nil && x.rec.Method != http.MethodHead {
		x.rec.Fail(failure.ClientGone, err)
	}
}

// answerFailure answers with a step that failed. Nothing was answered before.
func (x *exchange) answerFailure(f *failure.Failure) {
	x.rec.Fail(f.Kind, f.Cause)
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

// finish completes the record. Every exchange comes here once.
func (x *exchange) finish() {
	if c := x.call; c != nil {
		c.Release()
		x.rec.Retries += c.Retries
		if c.Backend != nil {
			x.rec.Route, x.rec.Backend = c.Pool.Name, c.Backend.URL
			model := x.rec.Model
			x.rec.Known = model != "" && (model == x.gen.cfg.Engine.DefaultModel || c.Pool.Knows(c.Backend, model))
		}
	}
	x.gen.observer.End(&x.rec)
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
