package server

import (
	"context"
	"io"
	"mime"
	"net/http"
	"time"

	"antwort/server/buffer"
	"antwort/server/upstream"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/translate"
)

// Provider vllm: POST /v1/responses becomes POST /v1/chat/completions.

// translate answers POST /v1/responses by its decision, which needs the model
// still. It puts body back.
func (x *exchange) translate(d *policy.Decision, body *buffer.Buffer) {
	chat := buffer.Get()
	out, turn, err := x.gen.translator.Request(chat.B, body.B, x.gen.newID(), x.gen.unix())
	chat.B = out
	var f *failure.Failure
	if err != nil {
		f = failure.Of(failure.InvalidRequest, err)
	} else {
		f = d.Translated(turn.Model(), body.B)
		x.model = d.Model
	}
	body.Put()
	if f != nil {
		chat.Put()
		x.answerFailure(f)
		return
	}
	a := &attempts{
		pool: x.gen.pools[d.Route],
		key:  d.Conversation,
		request: upstream.Request{
			Method:     http.MethodPost,
			Target:     "/v1/chat/completions",
			Header:     x.chatHeader(turn.Streaming()),
			Body:       chat.B,
			Repeatable: true, // a completion changes nothing upstream
		},
		body:       chat,
		repeatable: d.Repeatable,
		statuses:   true,
	}
	if d.Renames() {
		a.rename = func(dst []byte, model string) []byte { return turn.AppendRenamed(dst, chat.B, model) }
	}
	x.attempt(a)
	ctx, cancel := x.work()
	if turn.Streaming() {
		st := x.newStream(ctx, cancel, func() events { return chatEvents{turn.Stream()} })
		st.run((*stream).serveChat)
		return
	}
	defer turn.Free()
	defer a.drop()
	defer cancel(nil)
	for {
		ans, f := x.call(ctx)
		if f == nil {
			f = x.whole(ctx, ans, turn)
		}
		if f == nil {
			return
		}
		if !x.another(f) {
			x.answerFailure(f)
			return
		}
	}
}

// whole translates an answer that is not streamed.
func (x *exchange) whole(ctx context.Context, ans *upstream.Answer, turn *translate.Turn) *failure.Failure {
	defer ans.Close()
	if ans.Status != http.StatusOK {
		return x.refused(ctx, ans)
	}
	answer := buffer.Get()
	defer answer.Put()
	if f := x.readAnswer(ctx, ans, answer); f != nil {
		return f
	}
	out := buffer.Get()
	defer out.Put()
	b, err := turn.Response(out.B, answer.B, x.gen.unix())
	out.B = b
	if err != nil {
		return failure.Of(failure.UpstreamAnswer, err)
	}
	x.outcome = turn.Outcome()
	x.json(http.StatusOK, out.B)
	return nil
}

// serveChat calls the upstream and streams its answer.
func (st *stream) serveChat() {
	for again := true; again; {
		ans, f := st.x.call(st.ctx)
		if f != nil {
			st.fail(f)
			return
		}
		if !isEventStream(ans.Header) {
			defer ans.Close()
			if ans.Status != http.StatusOK {
				st.fail(st.x.refused(st.ctx, ans))
				return
			}
			st.fail(failure.Of(failure.UpstreamAnswer, policy.NotStreamed()))
			return
		}
		again = st.pump(ans)
	}
}

// chatEvents are the events of a translated stream.
type chatEvents struct{ *translate.Stream }

// Release has nothing to do: events are made of their own.
func (chatEvents) Release() {}

func isEventStream(h http.Header) bool {
	v := h.Get("Content-Type")
	if v == "text/event-stream" || v == "text/event-stream; charset=utf-8" { // vLLM's
		return true
	}
	t, _, err := mime.ParseMediaType(v)
	return err == nil && t == "text/event-stream"
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
	b = upstream.AppendField(b, "X-Request-Id", x.id)
	b = x.appendIdentity(b)
	for _, name := range [...]string{"Traceparent", "Tracestate"} {
		if v := x.r.Header[name]; len(v) == 1 {
			b = upstream.AppendField(b, name, v[0])
		}
	}
	return b
}

// errorBody is as much as is read of an upstream's refusal.
const errorBody = 64 << 10

// refused translates an answer that is an error.
func (x *exchange) refused(ctx context.Context, ans *upstream.Answer) *failure.Failure {
	buf := buffer.Get()
	defer buf.Put()
	ans.SetReadDeadline(time.Now().Add(x.idle()))
	if err := readInto(buf, io.LimitReader(ans, errorBody), errorBody); err != nil && ctx.Err() != nil {
		return x.ended(ctx)
	}
	e := translate.UpstreamError(ans.Status, buf.B, ans.Header.Get("Retry-After"), x.backend.auth != "")
	return failure.Of(failure.UpstreamStatus, e)
}

// readAnswer reads a whole answer; what the upstream sends may not pause for
// longer than a stream may.
func (x *exchange) readAnswer(ctx context.Context, ans *upstream.Answer, buf *buffer.Buffer) *failure.Failure {
	limit := x.gen.cfg.Limits.ResponseBodyBytes
	if ans.Length > 0 { // one byte more lets the read that fills it see the end
		buf.Grow(int(min(ans.Length, limit, 1<<20)) + 1)
	}
	for {
		buf.Grow(512)
		ans.SetReadDeadline(time.Now().Add(x.idle()))
		n, err := ans.Read(buf.B[len(buf.B):cap(buf.B)])
		buf.B = buf.B[:len(buf.B)+n]
		switch {
		case int64(len(buf.B)) > limit:
			return failure.Of(failure.UpstreamAnswer, responses.AnswerTooLarge()).Because(errTooLarge)
		case err == io.EOF:
			return nil
		case err != nil:
			return x.broken(ctx, err)
		}
	}
}
