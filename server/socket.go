package server

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"antwort/server/buffer"
	"antwort/server/dispatch"
	"antwort/server/header"
	"antwort/server/ingress"
	"antwort/server/observe"
	"antwort/server/streaming"
	"antwort/server/trace"
	"antwort/server/turns"
	"antwort/server/upstream"
	"antwort/server/websocket"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/translate"
)

// Over a WebSocket a client sends one request after the other. The exchange of the
// upgrade lasts as long as the connection; each request on it is an exchange of its own,
// which goes the way of every other.

// upgrades reports whether the request can go on as a WebSocket: else it is refused as a
// wrong method.
func (x *exchange) upgrades() bool {
	return x.gen.cfg.Websocket.Enabled && x.r.ProtoMajor == 1
}

// pingEvery is how long a connection may be silent before the client must show that it
// is there.
const pingEvery = 20 * time.Second

// upgrade makes the connection a WebSocket.
func (x *exchange) upgrade() *failure.Failure {
	g := x.gen
	if origins := x.r.Header["Origin"]; len(origins) > 0 && (x.origin == "" || len(origins) > 1) {
		return policy.NotForPages()
	}
	if err := websocket.Check(x.r); err != nil {
		return failure.Of(failure.WrongMethod, err).With("Sec-WebSocket-Version", "13").With("Connection", "close")
	}
	up := g.door.Upgrade(x.w, x.r)
	if up == nil {
		return failure.Of(failure.WrongMethod, policy.WebSocket()).With("Connection", "close")
	}
	if !g.sockets.Take(g.cfg.Websocket.MaxConnections) {
		e := responses.NewError(http.StatusServiceUnavailable, "websocket_connections_exhausted", "there are as many WebSocket connections as there may be: try again later, or use POST "+policy.Create.Name)
		e.RetryAfter = "5"
		return failure.Of(failure.Overloaded, e)
	}
	if !g.translates && !g.keeps {
		return x.tunnel(up)
	}
	c := &socket{
		common: g.common, span: x.rec.Span, id: x.rec.ID, client: x.rec.Client, header: fieldsOfTurns(x.r.Header), aside: turns.Aside{Memory: &x.held},
	}
	x.rec.Status, x.detached = http.StatusSwitchingProtocols, true
	r := x.r
	x.w, x.r = nil, nil
	err := g.sockets.Accept(up, r, websocket.Options{
		Bound: &g.held, InFlight: g.cfg.Limits.InFlight(false), Limits: g.limits,
		MessageBytes: g.cfg.Limits.RequestBodyBytes, MessageTime: g.cfg.Server.ReadTimeout, WriteTime: g.cfg.Engine.StreamIdleTimeout,
		PingEvery: pingEvery, Lifetime: g.cfg.Websocket.Lifetime, Expires: g.callers.Expires(r),
		Turn: c.turn, Panicked: x.Panicked,
		Closed: func(sent int64) {
			g.sockets.Leave()
			x.rec.Wrote(sent)
			x.record()
		},
	})
	if err != nil {
		g.sockets.Leave()
		x.rec.Fail(failure.ClientGone, err)
		x.record()
	}
	return nil
}

// tunnel passes the connection on to a backend that speaks WebSocket. Nobody reads what is
// said: what depends on a request's body is refused.
func (x *exchange) tunnel(up *ingress.Upgrade) (f *failure.Failure) {
	g, r := x.gen, x.r
	defer func() {
		if x.rec.Status != http.StatusSwitchingProtocols {
			g.sockets.Leave()
		}
	}()
	if g.rules.Limited() { // nobody would count
		return failure.Of(failure.WrongMethod, policy.WebSocket()).With("Connection", "close")
	}
	d, f := g.decider.BeginWebSocket(policy.Request{Endpoint: policy.Create, Method: x.rec.Method, Caller: x.rec.Caller, Field: x.field})
	if f != nil {
		if f.Kind == failure.WrongMethod {
			f = f.With("Connection", "close")
		}
		return f
	}
	delete(r.Header, "Origin") // it was looked at
	req := &dispatch.Request{Held: buffer.Metered(&x.held), Repeat: d.Repeatable}
	req.Method, req.Target = http.MethodGet, x.target()
	req.Header, req.Credential = x.forwardHeader()
	req.Header = append(req.Header, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
	x.callTo(d.Route, req)
	defer x.call.Drop()
	ctx, cancel := x.work()
	defer cancel(nil)
	back, f := x.call.Upgrade(ctx)
	if f != nil {
		return f
	}
	if back.Conn == nil {
		header.CopyAnswer(x.header(), back.Header)
		delete(x.header(), "Content-Length")
		x.startPassed(back.Status)
		x.write(back.Body)
		return nil
	}
	header.CopyAnswer(x.header(), back.Header)
	x.header()["X-Request-Id"] = []string{x.rec.ID}
	x.header()["Connection"], x.header()["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	up.WriteHeader(http.StatusSwitchingProtocols)
	if _, _, err := up.Hijack(); err != nil {
		_ = back.Close()
		return failure.Of(failure.ClientGone, nil).Because(err)
	}
	x.rec.Status, x.detached = http.StatusSwitchingProtocols, true
	x.w, x.r, up.ResponseWriter = nil, nil, nil
	// A sixtieth more, so that a backend with the same limit ends it first: it knows when
	// an answer has ended.
	lifetime := g.cfg.Websocket.Lifetime + g.cfg.Websocket.Lifetime/60
	if at := g.callers.Expires(r); !at.IsZero() {
		lifetime = min(lifetime, time.Until(at))
	}
	g.sockets.Tunnel(up, back.Conn, websocket.TunnelOptions{
		WriteTime: x.call.Idle(), Lifetime: lifetime, Ending: g.ending,
		Closed: func(sent int64) {
			g.sockets.Leave()
			x.rec.Wrote(sent)
			x.record()
		},
	})
	return nil
}

// fieldsOfTurns are the fields of an upgrade that its requests have too.
func fieldsOfTurns(h http.Header) http.Header {
	fields := h.Clone()
	for _, name := range [...]string{
		"Connection", "Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions", "Sec-Websocket-Protocol",
		"Content-Encoding", "Origin", "X-Request-Id",
	} {
		delete(fields, name)
	}
	fields["Content-Type"] = jsonType
	return fields
}

// socket is what a connection's requests have in common. One is answered at a time.
type socket struct {
	*common
	span   *trace.Span // of the connection
	id     string      // of the request for the upgrade
	client netip.Addr
	header http.Header
	aside  turns.Aside
	turns  atomic.Int64 // that have begun
}

// socketTurn is one request on a connection.
type socketTurn struct {
	*websocket.Turn
	socket *socket
}

// keeps is who keeps the answer if no store does.
func (t *socketTurn) keeps() *turns.AsideTurn {
	if t == nil {
		return nil
	}
	return &turns.AsideTurn{Aside: &t.socket.aside, Lane: t.Lane}
}

func (t *socketTurn) options(opt streaming.Options) streaming.Options {
	opt.Sink, opt.Whole = t.Sink, true
	return opt
}

// turn answers one request by the configuration in force.
func (c *socket) turn(ctx context.Context, t *websocket.Turn) {
	g := c.inForce.Load()
	x := &exchange{gen: g, endpoint: g.endpoints.API[policy.Create], socket: &socketTurn{t, c}}
	x.rec = observe.Record{
		ID: c.id + "." + strconv.FormatInt(c.turns.Add(1), 10), Start: t.Received, Method: http.MethodPost, Path: policy.Create.Name, Endpoint: x.endpoint.Name,
		Client: c.client, Operation: trace.Operation(policy.Create.Name),
		Span: g.tracer.Begin(trace.Served, "WebSocket "+policy.Create.Name, t.Received, c.span.Parent(), c.span),
	}
	x.r = (&http.Request{Method: http.MethodPost, Header: c.header, URL: &url.URL{Path: policy.Create.Name}, ContentLength: int64(len(t.Body.B))}).WithContext(ctx)
	g.observer.Begin(&x.rec)
	defer x.record()
	defer func() {
		if p := recover(); p != nil {
			x.Panicked(p)
			if x.rec.Status == 0 {
				x.failTurn(failure.Of(failure.Panic, policy.Internal()))
			} else {
				t.Sink.Break()
			}
		}
	}()
	for _, step := range steps[1:] { // the header was checked with the upgrade
		if f := step(x); f != nil {
			x.failTurn(f)
			break
		}
	}
	if x.rec.Status >= http.StatusBadRequest {
		c.aside.Evict(t.Previous)
	}
}

// failTurn answers with a step that failed. Nothing was answered before.
func (x *exchange) failTurn(f *failure.Failure) {
	x.body.Put()
	x.body = nil
	x.turn.Leave() // who is told may come again at once
	x.rec.Fail(f.Kind, f.Cause)
	if f.Reply == nil {
		return
	}
	x.rec.Status = f.Reply.Status
	x.socket.Sink.Begin(f.Reply.Status, nil)
	x.say(f.Reply.AppendBody(append(make([]byte, 0, 256), make([]byte, ingress.Room)...)))
	if f.Reply.Status == http.StatusUnauthorized {
		x.socket.Sink.Dismiss()
	}
}

// say sends the last of a turn.
func (x *exchange) say(out []byte) {
	sink := x.socket.Sink
	sink.Limit(time.Now().Add(x.idle()))
	_, err := sink.Write(out, true)
	sink.Limit(time.Time{})
	if err != nil {
		x.rec.Fail(failure.ClientGone, err)
		return
	}
	x.rec.Wrote(int64(len(out) - ingress.Room))
}

// readBody reads the request's body.
func (x *exchange) readBody() (body *buffer.Buffer, f *failure.Failure) {
	if x.socket == nil {
		return x.reqBody().Read()
	}
	body, x.socket.Body = x.socket.Body, nil
	return body, nil
}

// streamToSocket streams the answer of the exchange's call.
func (x *exchange) streamToSocket(st *streaming.Stream, first *upstream.Answer) {
	st.Run(first)
	x.gen.observer.Streams(-1)
	st.Close()
	if st.Broken() {
		x.socket.Sink.Break() // the client must not take it for the end
	}
}

// prepare answers a request for which nothing is to be said yet.
func (x *exchange) prepare(turn *translate.Turn, begun *turns.Turn) *failure.Failure {
	defer turn.Free()
	x.rec.Operation = "" // nothing is generated
	out := buffer.Metered(&x.held)
	defer out.Put()
	events := turn.Stream()
	out.B = events.Prepare(append(out.B, make([]byte, ingress.Room)...), x.Unix())
	begun.Streams()
	kept, failed := begun.Keep(turn.Outcome())
	if failed != nil {
		x.rec.Fail(failure.StateUnavailable, nil)
	}
	if !kept {
		out.B = events.Instead(out.B, failed)
	}
	x.rec.Outcome, x.rec.Streamed = turn.Outcome(), true
	x.rec.Outcome.Resource = nil // its bytes are used again
	x.sayEvents(out.B)
	return nil
}

// sayEvents sends all events of a turn, which stand behind a sink's room.
func (x *exchange) sayEvents(out []byte) {
	x.rec.Status, x.rec.FirstEvent = http.StatusOK, time.Since(x.rec.Start)
	x.say(out)
}

// notOverSocket refuses a request whose answer is a backend's own.
func notOverSocket(model string) *responses.Error {
	e := responses.NewError(http.StatusBadRequest, "websocket_unsupported",
		"requests for the model "+strconv.Quote(policy.Clip(model, 256))+" are passed on, which is not possible over this WebSocket: use HTTP, POST "+policy.Create.Name)
	e.Param = "model"
	return e
}
