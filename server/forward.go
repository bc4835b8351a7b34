package server

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"antwort/server/adopt"
	"antwort/server/buffer"
	"antwort/server/dispatch"
	"antwort/server/header"
	"antwort/server/ingress"
	"antwort/server/streaming"
	"antwort/server/turns"
	"antwort/server/upstream"
	"antwort/shared/failure"
	"antwort/shared/history"
	"antwort/shared/jsontext"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/translate"
)

// Provider vllm-responses: a request goes on as it came, but perhaps with
// another model, and the answer comes back as it is. A stream is cut into events
// and watched, never rebuilt.

// forward answers any request of the API by its decision. body is what was read
// of it, nil when nothing was; forward puts it back.
func (x *exchange) forward(d *policy.Decision, body *buffer.Buffer) *failure.Failure {
	var read []byte
	if body != nil {
		read = body.B
	}
	x.rec.Span.Input(read)
	if f := x.reserve(d.Model, read, d.Reading.MaxOutput()); f != nil {
		body.Put()
		return f
	}
	req := &dispatch.Request{Held: body, Conversation: d.Conversation, Repeat: d.Repeatable, RetryStatuses: d.Final && d.Repeatable}
	req.Method, req.Target = x.rec.Method, x.target()
	req.Repeatable = x.rec.Method == http.MethodGet || x.rec.Method == http.MethodHead
	if body != nil {
		req.Body = body.B
		if d.Reading != nil && d.Renames() {
			req.Rename = d.Reading.AppendRenamed
		}
	} else {
		req.Held = buffer.Metered(&x.held)
		if f := x.attachBody(req); f != nil {
			req.Held.Put()
			return f
		}
	}
	if f := x.held.Request(req.Held, 0, req.Rename != nil); f != nil {
		req.Held.Put()
		return f
	}
	if req.Header, req.Credential = x.forwardHeader(); d.Final {
		req.Credential = nil // a model server's only caller is this gateway
	}
	if x.trial != nil {
		x.trial.Upstream(req.Target, req.Body)
	}
	x.callTo(d.Route, req)
	return x.passOn()
}

// attachBody reads what of the body comes at once; more is streamed.
func (x *exchange) attachBody(req *dispatch.Request) *failure.Failure {
	up, f := x.reqBody().Upload(req.Held)
	if len(req.Held.B) > 0 {
		req.Body = req.Held.B
	}
	if f != nil || up == nil {
		return f
	}
	x.upload = up
	req.Stream, req.Length, req.Unblock, req.Unread = up, x.r.ContentLength, up.Unblock, up.Failed
	req.Repeat = false // what has been passed on is not kept
	return nil
}

// closeAfter makes an answer the connection's last when the request's body was
// not read to its end: the rest of it must not be taken for a request. So it does when
// the server drains.
func (x *exchange) closeAfter(h http.Header) {
	unread := x.upload != nil && !x.upload.WholeRead()
	if (unread || x.gen.draining.Load()) && (x.r == nil || x.r.ProtoMajor == 1) { // nil: the connection was taken over, of HTTP/1.1
		h["Connection"] = []string{"close"}
	}
	if unread {
		x.upload.Linger()
	}
}

// forwardHeader is the client's header for the upstream, with what we know of
// the client, and its credential.
func (x *exchange) forwardHeader() (lines, credential []byte) {
	lines, credential = header.AppendRequest(make([]byte, 0, 512), x.r.Header, x.gen.fields)
	if !x.gen.callers.PassOn() {
		credential = nil
	}
	lines = upstream.AppendField(lines, "X-Request-Id", x.rec.ID)
	lines = x.gen.trusted.AppendForwarded(lines, x.r, ingress.Secure(x.r))
	lines = header.AppendHop(lines, x.r.Header, x.gen.hop)
	return header.AppendIdentity(lines, x.rec.Caller), credential
}

// target is the request's path and query, for the upstream.
func (x *exchange) target() string {
	query := x.r.URL.RawQuery
	if query == "" {
		return x.rec.Path
	}
	// HTTP/2 lets spaces pass, which would end the target here.
	return x.rec.Path + "?" + strings.ReplaceAll(query, " ", "%20")
}

// passOn answers with the first backend's answer that is whole, or has begun to be
// the client's.
func (x *exchange) passOn() *failure.Failure {
	ctx, cancel := x.work()
	watched := false
	defer func() {
		if !watched {
			cancel(nil)
			x.call.Drop()
		}
	}()
	return x.call.Send(ctx, func(ans *upstream.Answer) *failure.Failure {
		if x.passes(ans) {
			return x.passEvents(ctx, ans)
		}
		if watched = streaming.IsWatched(x.rec.Method, ans); watched { // its stream goes on with the call
			// A backend with the same interval comes first with its own comment.
			keepAlive := x.gen.cfg.Server.KeepAliveInterval
			x.stream(ctx, cancel, streaming.Watched(x.gen.cfg.Limits, x.rec.Method == http.MethodGet), keepAlive+keepAlive/3, ans)
			return nil
		}
		return x.passWhole(ctx, ans)
	})
}

// passWhole passes an answer that is no stream of events on.
func (x *exchange) passWhole(ctx context.Context, ans *upstream.Answer) *failure.Failure {
	defer ans.Close()
	limit := x.gen.cfg.Limits.ResponseBodyBytes
	if ans.Length > limit && x.rec.Method != http.MethodHead {
		return dispatch.TooLarge()
	}
	head := buffer.Metered(&x.held)
	defer head.Put()
	if ans.Length > 0 {
		head.Grow(int(min(ans.Length, wholeAnswer)) + 1)
	}
	more := true
	for more && len(head.B) < wholeAnswer {
		if !head.Grow(512) {
			return x.held.Refusal()
		}
		var f *failure.Failure
		if more, f = x.call.ReadSome(ctx, ans, head); f != nil {
			return f
		}
		if int64(len(head.B)) > limit {
			return dispatch.TooLarge()
		}
	}
	header.CopyAnswer(x.header(), ans.Header)
	x.header()["X-Request-Id"] = []string{x.rec.ID}
	if !more && x.rec.Method != http.MethodHead {
		x.header()["Content-Length"] = []string{strconv.Itoa(len(head.B))}
	}
	if ans.Status == http.StatusOK && x.endpoint.Endpoint == policy.Create && !more {
		x.readUsage(head.B)
	}
	x.startPassed(ans.Status)
	var end streaming.Tail
	whole := !more
	if whole {
		x.readLateUsage(ans.Status, head.B, true)
	}
	for {
		there := x.write(head.B)
		if x.endpoint.Passes && !whole {
			end.Keep(head.B)
		}
		if !there || !more {
			if !whole {
				x.readLateUsage(ans.Status, end, false)
			}
			return nil
		}
		head.B = head.B[:0]
		var f *failure.Failure
		more, f = x.call.ReadSome(ctx, ans, head)
		if f == nil && x.rec.Sent+int64(len(head.B)) > limit {
			f = dispatch.TooLarge()
		}
		if f != nil {
			x.rec.Fail(f.Kind, f.Cause)
			panic(http.ErrAbortHandler) // the client must not take it for the end
		}
	}
}

// wholeAnswer is the largest answer that is held before it is passed on, so
// that one which breaks off still becomes an error with a status.
const wholeAnswer = 256 << 10

// readUsage looks for the token counts of a whole response, and for the model
// if the request has named none.
func (x *exchange) readUsage(body []byte) {
	if x.rec.Model == "" {
		value, _ := jsontext.LastMember(body, "model")
		if name, ok := jsontext.Text(value); ok && jsontext.Inside(name) {
			x.rec.Model = string(jsontext.Decode(nil, name))
		}
	}
	x.rec.Outcome.Usage, x.rec.Outcome.HasUsage = responses.FindUsage(body)
	x.rec.Span.Answered(body)
}

// readLateUsage looks for the token counts of a whole answer that passed, or at its end. Where
// there are none, what a model has said is estimated, of an end by the length of all.
func (x *exchange) readLateUsage(status int, end []byte, whole bool) {
	if !x.endpoint.Passes || status != http.StatusOK {
		return
	}
	x.rec.Outcome.Usage, x.rec.Outcome.HasUsage = responses.FindUsage(end)
	switch said := x.rec.Operation == "chat" || x.rec.Operation == "text_completion"; {
	case x.rec.Outcome.HasUsage || !said || !x.gen.rules.CountTokens():
	case whole:
		x.rec.Passed = streaming.Passed(end)
	default:
		x.rec.Passed = x.rec.Sent / 4
	}
}

// Where what is forwarded is kept (engine.provider vllm-responses with a state.type) a
// request goes on with all of its conversation, to a backend that keeps nothing, and the
// response is the server's own: stored before it is told.

// adopt answers by its decision a request whose response is kept here. It puts body back.
func (x *exchange) adopt(d *policy.Decision, body *buffer.Buffer) *failure.Failure {
	whole := buffer.Metered(&x.held)
	var own *translate.Turn // says what is told before a backend has answered; nil: nothing is
	var task *turns.Task
	begun, values, f := x.beginTurn(body, false)
	x.turn = begun
	prepares := x.socket != nil && x.socket.Prepares
	if f == nil && begun.Background() && x.job == nil {
		task, f = x.task(body.B)
	}
	creates := x.endpoint.Endpoint == policy.Create
	if f == nil && creates && (begun.Background() || prepares) {
		own, f = x.translateRequest(whole, begun, values)
	}
	if f == nil {
		x.rec.Span.Input(begun.Body)
		f = x.expandInto(whole, begun, creates)
	}
	if f == nil {
		f = d.Expanded(whole.B)
	}
	if f == nil {
		f = x.reserve(d.Model, whole.B, d.Reading.MaxOutput())
	}
	var terms adopt.Terms
	if f == nil {
		terms = x.terms(begun, own)
		begun.Translated()
	}
	body.Put()
	if f == nil {
		f = x.held.Request(whole, 0, d.Renames())
	}
	switch {
	case f != nil:
		whole.Put()
		return f
	case task != nil:
		whole.Put()
		return x.accept(own, begun, task)
	case prepares:
		whole.Put()
		return x.prepare(own, begun)
	}
	req := &dispatch.Request{Held: whole, Conversation: d.Conversation, Repeat: true}
	req.Method, req.Target, req.Body, req.Repeatable = http.MethodPost, x.target(), whole.B, true
	if d.Renames() {
		req.Rename = d.Reading.AppendRenamed
	}
	delete(x.r.Header, "Content-Encoding") // the body is another
	req.Header, req.Credential = x.forwardHeader()
	x.callTo(d.Route, req)
	if !creates {
		return x.passOn()
	}
	return x.answerAdopted(adopt.New(terms), begun, own)
}

// expandInto appends the upstream's request, with what the turn goes on from.
func (x *exchange) expandInto(whole *buffer.Buffer, begun *turns.Turn, creates bool) *failure.Failure {
	past := begun.History()
	whole.B = whole.B[:0]
	if !whole.Grow(len(begun.Body) + len(past) + 256) {
		return x.held.Refusal()
	}
	var err *responses.Error
	if whole.B, err = adopt.AppendRequest(whole.B, begun.Body, past, creates, x.job != nil); err != nil {
		return failure.Of(failure.InvalidRequest, err)
	}
	return nil
}

// terms are what is said here of the response.
func (x *exchange) terms(begun *turns.Turn, own *translate.Turn) adopt.Terms {
	asked, l := history.Read(begun.Body), &x.gen.cfg.Limits
	t := adopt.Terms{
		ID: begun.ID, Previous: asked.Previous, Limits: x.gen.limits.Answer(), EventBytes: int(l.EventBytes), AnswerBytes: int(l.ResponseBodyBytes),
	}
	if begun.Past != nil {
		t.Stored, t.Conversation = begun.Past.Stored, begun.Past.Conversation
	}
	if x.job != nil {
		own.Queue(nil)
		t.Queued = own.Outcome().Resource
	}
	return t
}

// answerAdopted answers with a backend's response, whole or streamed as it comes.
func (x *exchange) answerAdopted(response *adopt.Response, begun *turns.Turn, own *translate.Turn) *failure.Failure {
	ctx, cancel := x.work()
	if x.job != nil {
		defer own.Free()
		x.answerJob(ctx, cancel, begun, own.Work, streaming.Adopted(response, x.job.log))
		return nil
	}
	streams := false
	defer func() {
		if !streams {
			cancel(nil)
			x.call.Drop()
		}
	}()
	return x.call.Send(ctx, func(ans *upstream.Answer) *failure.Failure {
		streams = streaming.IsWatched(http.MethodPost, ans)
		switch {
		case streams: // goes on with the call
			x.stream(ctx, cancel, streaming.Adopted(response, keeperOf(begun)), x.gen.cfg.Server.KeepAliveInterval, ans)
			return nil
		case x.socket != nil:
			defer ans.Close()
			if ans.Status != http.StatusOK {
				return x.call.Refused(ctx, ans)
			}
			return failure.Of(failure.UpstreamAnswer, policy.NotStreamed())
		case ans.Status != http.StatusOK:
			x.turn.Leave() // who is told may come again at once
			return x.passWhole(ctx, ans)
		}
		header.CopyAnswer(x.header(), ans.Header)
		x.header()["X-Request-Id"] = []string{x.rec.ID}
		return x.answerWhole(ctx, ans, response, begun)
	})
}

// The endpoints of engine.pass: requests are forwarded whatever the provider, and
// streams are not those of the Responses API, so that they pass as they come.

// passes reports whether a stream of events is for the client as it comes.
func (x *exchange) passes(ans *upstream.Answer) bool {
	return x.endpoint.Passes && x.rec.Method != http.MethodHead && streaming.IsEventStream(ans.Header)
}

// passEvents passes a stream on, piece by piece, and looks for its token counts.
func (x *exchange) passEvents(ctx context.Context, ans *upstream.Answer) *failure.Failure {
	defer ans.Close()
	buf := buffer.Get()
	defer buf.Put()
	more, f := x.readPiece(ctx, ans, buf)
	if f != nil {
		return f // nothing of it is the client's yet
	}
	x.call.Settle()
	header.CopyAnswer(x.header(), ans.Header)
	x.header()["X-Request-Id"] = []string{x.rec.ID}
	x.rec.Streamed = true
	x.gen.observer.Streams(1)
	defer x.gen.observer.Streams(-1)
	x.startPassed(ans.Status)
	usage := streaming.NewUsageReader(x.gen.cfg.Limits.EventBytes)
	if x.gen.rules.CountTokens() {
		usage.Weigh()
	}
	defer func() {
		x.rec.Outcome.Usage, x.rec.Outcome.HasUsage = usage.Found()
		x.rec.Passed = usage.Passed()
	}()
	for {
		if x.rec.FirstEvent == 0 && len(buf.B) > 0 {
			x.rec.FirstEvent = time.Since(x.rec.Start)
		}
		usage.Read(buf.B)
		there := x.write(buf.B)
		if err := http.NewResponseController(x.w).Flush(); err != nil {
			x.rec.Fail(failure.ClientGone, err)
			there = false
		}
		if !there || !more {
			return nil
		}
		if more, f = x.readPiece(ctx, ans, buf); f != nil {
			x.rec.Fail(f.Kind, f.Cause)
			panic(http.ErrAbortHandler) // the client must not take it for the end
		}
	}
}

// readPiece reads what has come of the answer in place of what buf held.
func (x *exchange) readPiece(ctx context.Context, ans *upstream.Answer, buf *buffer.Buffer) (bool, *failure.Failure) {
	buf.B = buf.B[:0]
	buf.Grow(4 << 10)
	return x.call.ReadSome(ctx, ans, buf)
}
