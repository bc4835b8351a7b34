package server

import (
	"context"
	"mime"
	"net/http"

	"antwort/server/buffer"
	"antwort/server/dispatch"
	"antwort/server/upstream"
	"antwort/shared/failure"
	"antwort/shared/policy"
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
		x.rec.Model = d.Model
	}
	body.Put()
	if f != nil {
		chat.Put()
		x.answerFailure(f)
		return
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
	x.call = x.gen.pools.Route(d.Route).Call(req)
	ctx, cancel := x.work()
	if turn.Streaming() {
		st := x.newStream(ctx, cancel, func() events { return chatEvents{turn.Stream()} })
		st.run((*stream).serveChat)
		return
	}
	defer turn.Free()
	defer x.call.Drop()
	defer cancel(nil)
	f = x.call.Send(ctx, func(ans *upstream.Answer) *failure.Failure { return x.whole(ctx, ans, turn) })
	if f != nil {
		x.answerFailure(f)
	}
}

// whole translates an answer that is not streamed.
func (x *exchange) whole(ctx context.Context, ans *upstream.Answer, turn *translate.Turn) *failure.Failure {
	defer ans.Close()
	ans.Keep(false)
	if ans.Status != http.StatusOK {
		return x.call.Refused(ctx, ans)
	}
	answer := buffer.Get()
	defer answer.Put()
	if f := x.call.Read(ctx, ans, answer, x.gen.cfg.Limits.ResponseBodyBytes); f != nil {
		return f
	}
	out := buffer.Get()
	defer out.Put()
	b, err := turn.Response(out.B, answer.B, x.gen.unix())
	out.B = b
	if err != nil {
		return failure.Of(failure.UpstreamAnswer, err)
	}
	ans.Keep(true) // it was a completion
	x.rec.Outcome = turn.Outcome()
	x.json(http.StatusOK, out.B)
	return nil
}

// serveChat calls the upstream and streams its answer.
func (st *stream) serveChat() {
	f := st.x.call.Send(st.ctx, func(ans *upstream.Answer) *failure.Failure {
		ans.Keep(false)
		if isEventStream(ans.Header) {
			f := st.pump(ans)
			if status := st.x.rec.Outcome.Status; status != "" && status != "failed" {
				ans.Keep(true) // it was a completion
			}
			return f
		}
		defer ans.Close()
		if ans.Status != http.StatusOK {
			return st.x.call.Refused(st.ctx, ans)
		}
		return failure.Of(failure.UpstreamAnswer, policy.NotStreamed())
	})
	if f != nil {
		st.fail(f)
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
	b = upstream.AppendField(b, "X-Request-Id", x.rec.ID)
	b = x.appendHop(x.appendIdentity(b))
	for _, name := range [...]string{"Traceparent", "Tracestate"} {
		if v := x.r.Header[name]; len(v) == 1 {
			b = upstream.AppendField(b, name, v[0])
		}
	}
	return b
}
