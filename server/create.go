package server

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"antwort/server/buffer"
	"antwort/server/dispatch"
	"antwort/server/header"
	"antwort/server/limits"
	"antwort/server/state"
	"antwort/server/streaming"
	"antwort/server/turns"
	"antwort/server/upstream"
	"antwort/shared/compaction"
	"antwort/shared/failure"
	"antwort/shared/jsontext"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/translate"
)

// respond answers a request of the Responses API by its decision.
func (x *exchange) respond() *failure.Failure {
	d, body := x.decision, x.body
	x.decision, x.body = nil, nil
	if x.gen.turns.Stores() && x.endpoint.IsAboutStored() {
		f := x.stored(&turns.Question{
			Caller: x.rec.Caller, Endpoint: x.endpoint.Endpoint, Method: x.rec.Method, Path: x.rec.Path, Query: x.r.URL.RawQuery, Memory: &x.held,
		})
		if f == nil || d.Translates || d.Kept || f.Kind != failure.NotStored || x.body != nil {
			return f
		}
	}
	switch {
	case d.Need == policy.Translation:
		return x.translate(d, body)
	case d.Kept:
		return x.adopt(d, body)
	}
	if x.socket != nil {
		body.Put()
		return failure.Of(failure.InvalidRequest, notOverSocket(d.Model))
	}
	return x.forward(d, body)
}

// stored answers a question about a stored response or a conversation.
func (x *exchange) stored(q *turns.Question) *failure.Failure {
	if q.Endpoint.IsAboutConversations() {
		answer, f := x.gen.turns.AnswerConversation(x.r.Context(), q, x.sender())
		if f == nil {
			x.json(http.StatusOK, answer)
			x.body.Put()
			x.body = nil
		}
		return f
	}
	replay, f := x.gen.turns.Replay(x.r.Context(), q)
	if f != nil {
		return f
	}
	if replay != nil {
		x.follow(replay)
		return nil
	}
	answer, f := x.gen.turns.Answer(x.r.Context(), q)
	if f != nil {
		return f
	}
	if q.Method != http.MethodGet {
		x.gen.jobs.Cancelled(turns.ID(q))
	}
	x.json(http.StatusOK, answer)
	return nil
}

// sender is who asks for a conversation.
func (x *exchange) sender() *turns.Sender {
	return &turns.Sender{ID: x.gen.newID(), Unix: x.Unix(), Body: x.jsonBody, Check: x.checkItems}
}

// jsonBody reads the body of a request that may do without one.
func (x *exchange) jsonBody() ([]byte, *failure.Failure) {
	if x.r.ContentLength == 0 {
		return nil, nil
	}
	if err := policy.ContentType(x.field("content-type")); err != nil {
		return nil, failure.Of(failure.WrongContentType, err)
	}
	body, f := x.reqBody().Read()
	if f != nil {
		return nil, f
	}
	x.body = body
	if err := responses.Check(body.B, x.gen.limits); err != nil {
		return nil, failure.Of(failure.InvalidRequest, err)
	}
	return body.B, nil
}

// checkItems refuses items and metadata that a request for a response could not have.
func (x *exchange) checkItems(items, metadata []byte) *failure.Failure {
	if items == nil {
		items = []byte(`"-"`)
	}
	if metadata == nil {
		metadata = []byte("{}")
	}
	request := slices.Concat([]byte(`{"model":"-","input":`), items, []byte(`,"metadata":`), metadata, []byte{'}'})
	chat := buffer.Metered(&x.held)
	defer chat.Put()
	f := x.held.RoomFor(request, chat)
	if f != nil {
		return f
	}
	return x.held.Parsing(request, x.gen.cfg.Limits.JSONValues, func() *failure.Failure {
		var turn *translate.Turn
		var err *responses.Error
		if chat.B, turn, err = x.translator().Checked(chat.B, request, len(request)/8, "-", 0); err != nil {
			if rest, ok := strings.CutPrefix(err.Param, "input"); ok {
				param := "items" + rest
				err.Param, err.Message = param, strings.Replace(err.Message, err.Param, param, 1)
			}
			return failure.Of(failure.InvalidRequest, err)
		}
		turn.Free()
		return nil
	})
}

// Provider vllm: POST /v1/responses becomes POST /v1/chat/completions.

// translate answers POST /v1/responses by its decision, which needs the model
// still. It puts body back.
func (x *exchange) translate(d *policy.Decision, body *buffer.Buffer) *failure.Failure {
	chat := buffer.Metered(&x.held)
	var turn *translate.Turn
	var task *turns.Task
	begun, values, f := x.beginTurn(body, x.gen.compacts)
	x.turn = begun
	if f == nil && begun.Background() && x.job == nil {
		task, f = x.task(body.B)
	}
	if f == nil {
		x.rec.Span.Input(begun.Body)
		turn, f = x.translateRequest(chat, begun, values)
	}
	if f == nil {
		f = d.Translated(turn.Model(), begun.Body, begun.History())
		x.rec.Model, x.rec.DroppedTools = d.Model, turn.DroppedTools()
	}
	if f == nil {
		f = x.reserve(d.Model, chat.B, turn.MaxOutput())
	}
	if f == nil && task == nil && x.compacts != nil && (x.isAsked() || x.compacts.ask.Threshold > 0) {
		turn, f = x.sumUp(d, chat, turn, begun)
	}
	if f == nil {
		begun.Translated()
	}
	body.Put()
	if f == nil {
		f = x.held.Request(chat, turn.Held(), d.Renames())
	}
	if f != nil {
		chat.Put()
		return f
	}
	if task != nil {
		chat.Put()
		return x.accept(turn, begun, task)
	}
	if x.endpoint.Endpoint != policy.Create || x.isAsked() {
		defer turn.Free()
		defer chat.Put()
		if x.isAsked() {
			return x.answerCompaction(turn, begun)
		}
		return x.count(d, chat, turn)
	}
	if x.socket != nil && x.socket.Prepares {
		chat.Put()
		return x.prepare(turn, begun)
	}
	req := &dispatch.Request{
		Request: upstream.Request{
			Method:     http.MethodPost,
			Target:     "/v1/chat/completions",
			Header:     x.chatHeader(turn.Streaming()),
			Body:       chat.B,
			Repeatable: true, // a completion changes nothing upstream
		},
		Held:          chat,
		Conversation:  d.Conversation,
		Repeat:        d.Repeatable,
		RetryStatuses: true,
		Translated:    true,
	}
	if d.Renames() {
		req.Rename = func(dst []byte, model string) []byte { return turn.AppendRenamed(dst, chat.B, model) }
	}
	if x.trial != nil {
		x.trial.Upstream(req.Target, chat.B)
	}
	x.callOff()
	x.callTo(d.Route, req)
	ctx, cancel := x.work()
	if x.job != nil {
		x.answerJob(ctx, cancel, begun, turn.Work, streaming.Chat(turn, x.job.log))
		return nil
	}
	if turn.Streaming() {
		x.stream(ctx, cancel, streaming.Chat(turn, keeperOf(begun)), x.gen.cfg.Server.KeepAliveInterval, nil)
		return nil
	}
	defer turn.Free()
	defer x.call.Drop()
	defer cancel(nil)
	return x.call.Send(ctx, func(ans *upstream.Answer) *failure.Failure {
		if ans.Status != http.StatusOK {
			defer ans.Close()
			ans.Keep(false)
			return x.call.Refused(ctx, ans)
		}
		return x.answerWhole(ctx, ans, turn, begun)
	})
}

// keeperOf is who stores how a streamed answer ends; nil: nobody does.
func keeperOf(begun *turns.Turn) streaming.Keeper {
	if !begun.Kept() {
		return nil
	}
	begun.Streams()
	return begun
}

// reserve takes the tokens that a request may use, of its caller's limits; output is how many
// its answer may have, 0 where it does not say. Of a body that nobody has read, nil, the
// length is known at best.
func (x *exchange) reserve(model string, body []byte, output int64) *failure.Failure {
	need := limits.Need{Model: model, Output: output}
	switch {
	case !x.gen.rules.CountTokens():
	case body == nil:
		need.Input = max(0, x.r.ContentLength) / 4
	default:
		need.Input = compaction.Estimate(body)
	}
	switch {
	case x.job != nil: // it was let in when it was accepted
		x.gen.rules.Resume(x.r.Context(), &x.pass, x.rec.Caller, need)
		return nil
	case x.endpoint.Endpoint == policy.InputTokens, x.socket != nil && x.socket.Prepares:
		need.Nothing = true
	case x.isAsked():
		need.Output = int64(x.gen.cfg.Compaction.MaxOutputTokens)
	}
	return x.pass.Reserve(x.r.Context(), need)
}

// translator translates what the caller sends, or who let a job be done.
func (x *exchange) translator() translate.Owned {
	if x.job != nil {
		return x.gen.translator.For(x.job.Owner)
	}
	return x.gen.translator.For(policy.SealsFor(x.gen.cfg, x.rec.Caller))
}

// beginTurn finds out what the request goes on from, where responses are stored, and
// how many JSON values the turn's body has. compacts says that conversations are summed
// up here, not by the backend.
func (x *exchange) beginTurn(read *buffer.Buffer, compacts bool) (begun *turns.Turn, values int, f *failure.Failure) {
	id, created, job := x.gen.newID(), x.Unix(), (*state.Job)(nil)
	if x.job != nil {
		job = x.job.Job
		id, created = job.ID, job.Created.Unix()
	}
	values, err := responses.Count(read.B, x.gen.limits)
	if err != nil {
		return nil, 0, failure.Of(failure.InvalidRequest, err)
	}
	if compacts && x.endpoint.Endpoint == policy.Compact {
		if read.B, err = compaction.Complete(read.B); err != nil {
			return nil, 0, failure.Of(failure.InvalidRequest, err)
		}
	}
	body := read.B
	if compacts {
		f = x.readCompaction(body)
	}
	if f != nil {
		return nil, 0, f
	}
	begun, f = x.gen.turns.Begin(x.r.Context(), &turns.Ask{Caller: x.rec.Caller, ID: id, Created: created, Body: body, Memory: &x.held, Aside: x.socket.keeps(), Job: job,
		Reads: x.endpoint.Endpoint != policy.Create, Compacts: x.isAsked() || !compacts && triggers(body)})
	changed := false
	if f == nil && compacts {
		changed, f = x.expand(begun)
	}
	if f == nil && (begun.Refers || changed) {
		if values, err = responses.Count(begun.Body, x.gen.limits); err != nil {
			return begun, 0, failure.Of(failure.InvalidRequest, err)
		}
	}
	return begun, values, f
}

// translateRequest appends the upstream's request to chat; the turn's body has so many
// values.
func (x *exchange) translateRequest(chat *buffer.Buffer, begun *turns.Turn, values int) (turn *translate.Turn, f *failure.Failure) {
	body := begun.Body
	if f = x.held.RoomFor(body, chat); f != nil {
		return nil, f
	}
	request := func() *failure.Failure {
		var err *responses.Error
		if chat.B, turn, err = x.translator().Continued(chat.B, body, values, begun.Past, begun.ID, begun.Created); err != nil {
			if x.compacts != nil {
				err = x.compacts.expands.Restore(err)
			}
			return failure.Of(failure.InvalidRequest, err)
		}
		return nil
	}
	if past := begun.History(); len(past) > 0 {
		if f = x.held.RoomFor(past, chat); f != nil {
			return nil, f
		}
		f = x.held.Parsing(past, jsontext.Values(past), func() *failure.Failure { return x.held.Parsing(body, values, request) })
	} else {
		f = x.held.Parsing(body, values, request)
	}
	return turn, f
}

// answered is what a backend's whole answer becomes.
type answered interface {
	Response(dst, answer []byte, now int64) ([]byte, *responses.Error)
	Outcome() responses.Outcome
	Unstored(dst []byte) []byte
}

// answerWhole answers with what a backend's whole answer becomes, once that is stored.
func (x *exchange) answerWhole(ctx context.Context, ans *upstream.Answer, turn answered, begun *turns.Turn) *failure.Failure {
	defer ans.Close()
	ans.Keep(false)
	chat := buffer.Metered(&x.held)
	defer chat.Put()
	if f := x.call.Read(ctx, ans, chat, x.gen.cfg.Limits.ResponseBodyBytes); f != nil {
		return f
	}
	if x.trial != nil {
		x.trial.Chunk(chat.B)
	}
	out := buffer.Metered(&x.held)
	defer out.Put()
	f := x.held.RoomFor(chat.B, out)
	if f == nil {
		f = x.held.Parsing(chat.B, x.gen.cfg.Limits.JSONValues, func() *failure.Failure {
			var err *responses.Error
			if out.B, err = turn.Response(out.B, chat.B, x.Unix()); err != nil {
				return failure.Of(failure.UpstreamAnswer, err)
			}
			return nil
		})
	}
	if f != nil {
		return f
	}
	ans.Keep(true) // it was a completion
	x.rec.Outcome = turn.Outcome()
	x.rec.Span.Answered(x.rec.Outcome.Resource)
	switch kept, failed := begun.Keep(x.rec.Outcome); {
	case failed != nil:
		x.rec.Outcome.Resource = nil
		return failure.Of(failure.StateUnavailable, failed)
	case !kept:
		out.B = turn.Unstored(out.B[:0])
	}
	if x.rec.DroppedTools != "" {
		x.header().Set(translate.DroppedToolsField, x.rec.DroppedTools)
	}
	x.json(http.StatusOK, out.B)
	x.rec.Outcome.Resource = nil // its bytes are used again
	return nil
}

// chatHeader is the header of a request that is ours: of the client's only
// tracing passes (W3C Trace Context), never a credential.
func (x *exchange) chatHeader(stream bool) []byte {
	b := make([]byte, 0, 512)
	b = append(b, "Content-Type: application/json\r\nUser-Agent: antwort\r\n"...)
	if stream {
		b = append(b, "Accept: text/event-stream\r\n"...)
	} else {
		b = append(b, "Accept: application/json\r\n"...)
	}
	b = upstream.AppendField(b, "X-Request-Id", x.rec.ID)
	b = header.AppendIdentity(b, x.rec.Caller)
	b = header.AppendHop(b, x.r.Header, x.gen.hop)
	for _, name := range [...]string{"Traceparent", "Tracestate"} {
		if v := x.r.Header[name]; len(v) == 1 {
			b = upstream.AppendField(b, name, v[0])
		}
	}
	return b
}
