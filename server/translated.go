package server

import (
	"context"
	"io"
	"mime"
	"net/http"
	"time"

	"antwort/server/upstream"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/translate"
)

// Provider vllm: POST /v1/responses becomes POST /v1/chat/completions.

// translate answers POST /v1/responses.
func (x *exchange) translate() {
	body, f := x.readJSON()
	if f != nil {
		x.give(f)
		return
	}
	chat := getBuffer()
	out, turn, err := x.s.translator.Request(chat.b, body.b, x.s.newID(), x.s.unix())
	chat.b = out
	body.put()
	if err != nil {
		chat.put()
		x.fail("invalid_request", nil, err)
		return
	}
	x.model = turn.Model()
	if err := x.caller.Allows(x.model); err != nil {
		chat.put()
		x.fail("forbidden_model", nil, err)
		return
	}
	req := &upstream.Request{
		Method:     http.MethodPost,
		Target:     "/v1/chat/completions",
		Header:     x.chatHeader(turn.Streaming()),
		Body:       chat.b,
		Repeatable: true, // a completion changes nothing upstream
	}
	ctx, cancel := x.work()
	if turn.Streaming() {
		x.newStream(ctx, cancel, chatEvents{turn.Stream(), turn}).run(func(st *stream) { st.serveChat(req, chat) })
		return
	}
	defer chat.put()
	defer cancel(nil)
	ans, f := x.call(ctx, req, true)
	if f != nil {
		x.give(f)
		return
	}
	defer ans.Close()
	x.whole(ctx, ans, turn)
}

// whole translates an answer that is not streamed.
func (x *exchange) whole(ctx context.Context, ans *upstream.Answer, turn *translate.Turn) {
	if ans.Status != http.StatusOK {
		x.give(x.refused(ctx, ans))
		return
	}
	answer := getBuffer()
	defer answer.put()
	if f := x.readAnswer(ctx, ans, answer); f != nil {
		x.give(f)
		return
	}
	out := getBuffer()
	defer out.put()
	b, err := turn.Response(out.b, answer.b, x.s.unix())
	out.b = b
	if err != nil {
		x.fail("upstream_answer", nil, err)
		return
	}
	x.usage, x.hasUsage = turn.Usage()
	x.json(http.StatusOK, out.b)
}

// serveChat calls the upstream and streams its answer. It puts chat back.
func (st *stream) serveChat(req *upstream.Request, chat *buffer) {
	ans, f := st.x.call(st.ctx, req, true)
	if f != nil {
		chat.put()
		st.fail(f)
		return
	}
	if !isEventStream(ans.Header) {
		defer chat.put()
		defer ans.Close()
		if ans.Status != http.StatusOK {
			st.fail(st.x.refused(st.ctx, ans))
			return
		}
		st.fail(&failed{"upstream_answer", nil, policy.NotStreamed()})
		return
	}
	if !ans.Sending() { // else an early answer: the rest of the request is still read from there
		*req = upstream.Request{} // not needed while the stream lasts
		chat.put()
	}
	st.pump(ans)
}

// chatEvents are the events of a translated stream.
type chatEvents struct {
	*translate.Stream
	turn *translate.Turn
}

func (e chatEvents) Usage() (responses.Usage, bool) { return e.turn.Usage() }

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
	if x.s.auth != "" {
		b = upstream.AppendField(b, "Authorization", x.s.auth)
	}
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
func (x *exchange) refused(ctx context.Context, ans *upstream.Answer) *failed {
	buf := getBuffer()
	defer buf.put()
	ans.SetReadDeadline(time.Now().Add(x.s.cfg.Engine.StreamIdleTimeout))
	if err := readInto(buf, io.LimitReader(ans, errorBody), errorBody); err != nil && ctx.Err() != nil {
		return x.ended(ctx)
	}
	e := translate.UpstreamError(ans.Status, buf.b, ans.Header.Get("Retry-After"), x.s.auth != "")
	return &failed{"upstream_status", nil, e}
}

// readAnswer reads a whole answer; what the upstream sends may not pause for
// longer than a stream may.
func (x *exchange) readAnswer(ctx context.Context, ans *upstream.Answer, buf *buffer) *failed {
	limit := x.s.cfg.Limits.ResponseBodyBytes
	if ans.Length > 0 { // one byte more lets the read that fills it see the end
		buf.grow(int(min(ans.Length, limit, 1<<20)) + 1)
	}
	for {
		buf.grow(512)
		ans.SetReadDeadline(time.Now().Add(x.s.cfg.Engine.StreamIdleTimeout))
		n, err := ans.Read(buf.b[len(buf.b):cap(buf.b)])
		buf.b = buf.b[:len(buf.b)+n]
		switch {
		case int64(len(buf.b)) > limit:
			return &failed{"upstream_answer", errTooLarge, policy.AnswerTooLarge()}
		case err == io.EOF:
			return nil
		case err != nil:
			return x.broken(ctx, err)
		}
	}
}
