package server

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"antwort/server/buffer"
	"antwort/server/dispatch"
	"antwort/server/header"
	"antwort/server/ingress"
	"antwort/server/streaming"
	"antwort/server/upstream"
	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/translate"
)

// Answers that are not streamed go through net/http. A stream takes its connection over,
// where that is possible.

func (x *exchange) header() http.Header { return x.w.Header() }

var jsonType = []string{"application/json"}

// json answers with a whole body.
func (x *exchange) json(status int, body []byte) {
	h := x.header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.start(status)
	x.write(body)
}

func (x *exchange) text(status int, body string) {
	x.header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
	x.start(status)
	x.write([]byte(body))
}

// fail answers with a step that failed. Nothing was answered before.
func (x *exchange) fail(f *failure.Failure) {
	x.body.Put()
	x.body = nil
	x.rec.Fail(f.Kind, f.Cause)
	x.countSummaries()
	e := f.Reply
	if e != nil && x.begun() {
		x.failEvents(e)
		return
	}
	x.turn.Leave() // who is told may come again at once
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

// start sends the status and header.
func (x *exchange) start(status int) {
	x.limitWriting()
	x.startNow(status)
}

// startNow is start with the time to read that the client has already.
func (x *exchange) startNow(status int) {
	x.rec.Status = status
	x.pass.Dress(x.header())
	header.AllowOrigin(x.header(), x.origin, x.gen.cfg.Server.CORS.AllowedOrigins)
	x.closeAfter(x.header())
	x.w.WriteHeader(status)
}

// startPassed is start for an answer that goes on as it came. One that is an error is a
// failure of its backend, as one that is translated would be.
func (x *exchange) startPassed(status int) {
	if status >= http.StatusBadRequest {
		x.rec.Fail(failure.UpstreamStatus, nil)
	}
	x.start(status)
}

// flushed is the size of what is written at once, so that its failure shows.
const flushed = 32 << 10

// write writes a part of the answer's body. It reports whether somebody is there to read it.
func (x *exchange) write(p []byte) bool {
	if x.rec.Sent > 0 {
		x.limitWriting() // anew: start's limit was for the first part
	}
	n, err := x.w.Write(p) //nolint:gosec // JSON and events, as their Content-Type says: no page
	if err == nil && len(p) >= flushed {
		err = http.NewResponseController(x.w).Flush()
	}
	x.rec.Wrote(int64(n))
	if err != nil && x.rec.Method != http.MethodHead {
		x.rec.Fail(failure.ClientGone, err)
		return false
	}
	return true
}

// limitWriting gives the client a time to read the answer, as long as the
// upstream has for silence. It stays for what net/http writes after the
// handler; the body's time and the take-over end it.
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

// stream streams the answer of the exchange's call; first is one that is there
// already, or nil. When the client's connection can be taken over, it returns at
// once, and the exchange belongs to the stream's goroutine.
func (x *exchange) stream(ctx context.Context, cancel context.CancelCauseFunc, kind streaming.Kind, keepAlive time.Duration, first *upstream.Answer) {
	begun := x.begun()
	x.rec.Streamed = true
	x.gen.observer.Streams(1)
	opt := streaming.Options{Owner: x, Kind: kind, Call: x.call, Record: &x.rec, Memory: &x.held, KeepAlive: keepAlive, Idle: x.idle(), InEvents: begun, Estimates: x.gen.rules.CountTokens()}
	if x.trial != nil {
		opt.Hear = x.trial.Chunk
	}
	if x.socket != nil {
		x.streamToSocket(streaming.New(ctx, cancel, x.socket.options(opt)), first)
		return
	}
	w, r := x.w, x.r
	var taken *ingress.Taken
	if !begun {
		taken = x.takeOver(cancel)
	}
	if taken != nil {
		opt.Sink = taken.Sink()
		st := streaming.New(ctx, cancel, opt)
		taken.WhenAsked(st.Ask)
		go x.streamTaken(st, taken, first)
		return
	}
	if opt.Sink = ingress.NewWriterSink(w); begun {
		opt.Sink = headless{opt.Sink}
	}
	opt.Sink.Limit(time.Time{}) // an earlier answer's
	st := streaming.New(ctx, cancel, opt)
	ingress.WhenAsked(r, st.Ask)
	st.Run(first)
	x.gen.observer.Streams(-1)
	st.Close()
	if st.Broken() {
		panic(http.ErrAbortHandler) // the client must not take it for the end
	}
}

// headless is the way to a client that has got the header.
type headless struct{ ingress.Sink }

func (headless) Begin(int, http.Header) {}

// streamTaken streams on a connection of its own.
func (x *exchange) streamTaken(st *streaming.Stream, taken *ingress.Taken, first *upstream.Answer) {
	defer taken.Done()
	complete := st.Run(first)
	x.gen.observer.Streams(-1)
	taken.Finish(complete)
	x.record()
	st.Close()
}

// takeOver takes the client's connection over; nil when the answer goes through
// net/http.
func (x *exchange) takeOver(gone context.CancelCauseFunc) *ingress.Taken {
	if !x.gen.cfg.Server.TakeOver || x.upload != nil {
		return nil
	}
	taken := x.gen.door.Take(x.w, x.r, func() { gone(dispatch.ErrClientGone) })
	if taken != nil {
		x.unlink() // net/http ends the request's context when the handler returns
		x.detached, x.w, x.r = true, nil, nil
	}
	return taken
}

// Dress completes the header of a streamed answer.
func (x *exchange) Dress(h http.Header) {
	h["X-Request-Id"] = []string{x.rec.ID}
	x.pass.Dress(h)
	header.AllowOrigin(h, x.origin, x.gen.cfg.Server.CORS.AllowedOrigins)
	x.closeAfter(h)
}

// Questions of the server's own, which a backend answers whole. One is how many tokens a
// request has: POST /v1/responses/input_tokens is translated as what it asks about would
// be, and nothing is generated or kept.

// counts reports whether tokens are counted.
func (x *exchange) counts() bool { return x.gen.cfg.Engine.CountTokens != config.Off }

// count answers how many tokens a translated request has.
func (x *exchange) count(d *policy.Decision, chat *buffer.Buffer, turn *translate.Turn) *failure.Failure {
	tokens, f := x.measure(d, chat, turn)
	if f == nil {
		x.json(http.StatusOK, translate.AppendCount(nil, tokens))
	}
	return f
}

// measure asks a backend how many tokens a chat request has.
func (x *exchange) measure(d *policy.Decision, chat *buffer.Buffer, turn *translate.Turn) (tokens int64, f *failure.Failure) {
	how := translate.Count(x.gen.cfg.Engine.CountTokens)
	if err := how.Uncountable(turn); err != nil {
		return 0, failure.Of(failure.InvalidRequest, err)
	}
	question := buffer.Metered(&x.held)
	if f = x.held.RoomFor(chat.B, question); f != nil {
		return 0, f
	}
	question.B = how.Append(question.B, chat.B)
	f = x.inquire(&inquiry{decision: d, turn: turn, target: how.Path(), body: question, read: func(said []byte) *failure.Failure {
		n, err := how.Read(said)
		if err != nil {
			return failure.Of(failure.UpstreamAnswer, err)
		}
		tokens = n
		return nil
	}})
	if f != nil && f.Kind == failure.UpstreamStatus {
		f.Reply = how.Refused(f.Reply)
	}
	return tokens, f
}

// An inquiry is a request of the server's own, on the way of the exchange's.
type inquiry struct {
	decision *policy.Decision
	turn     *translate.Turn // that the body was made for
	target   string
	body     *buffer.Buffer // is put back
	read     func(answer []byte) *failure.Failure
}

// inquire asks a backend, and reads its whole answer.
func (x *exchange) inquire(q *inquiry) *failure.Failure {
	d := q.decision
	if f := x.held.Request(q.body, 0, d.Renames()); f != nil {
		q.body.Put()
		return f
	}
	req := &dispatch.Request{
		Request: upstream.Request{
			Method:     http.MethodPost,
			Target:     q.target,
			Header:     x.chatHeader(false),
			Body:       q.body.B,
			Repeatable: true,
		},
		Held:          q.body,
		Conversation:  d.Conversation,
		Repeat:        d.Repeatable,
		RetryStatuses: true,
		Translated:    true,
	}
	if d.Renames() {
		req.Rename = func(dst []byte, model string) []byte { return q.turn.AppendRenamed(dst, q.body.B, model) }
	}
	x.callOff()
	x.callTo(d.Route, req)
	ctx, cancel := x.work()
	defer x.call.Drop()
	defer cancel(nil)
	said := buffer.Metered(&x.held)
	defer said.Put()
	return x.call.SendWhole(ctx, said, x.gen.cfg.Limits.ResponseBodyBytes, q.read)
}

// callOff lets go of the call before.
func (x *exchange) callOff() {
	if x.call != nil {
		x.call.Release()
		x.rec.Retries += x.call.Retries
		x.call = nil
		x.rec.Span.TryEnded()
	}
}
