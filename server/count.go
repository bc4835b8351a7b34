package server

import (
	"context"
	"net/http"

	"antwort/server/buffer"
	"antwort/server/dispatch"
	"antwort/server/upstream"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/translate"
)

// POST /v1/responses/input_tokens is translated as what it asks about would be; then
// the backend is asked how long that is, and nothing is generated or kept.

// count answers how many tokens a translated request has. It puts chat back and frees
// the turn.
func (x *exchange) count(d *policy.Decision, chat *buffer.Buffer, turn *translate.Turn) *failure.Failure {
	defer turn.Free()
	how := translate.Count(x.gen.cfg.Engine.CountTokens)
	question := buffer.Metered(&x.held)
	f := x.held.RoomFor(chat.B, question)
	if err := how.Uncountable(turn); f == nil && err != nil {
		f = failure.Of(failure.InvalidRequest, err)
	}
	if f == nil {
		question.B = how.Append(question.B, chat.B)
		f = x.held.Request(question, 0, d.Renames())
	}
	chat.Put()
	if f != nil {
		question.Put()
		return f
	}
	req := &dispatch.Request{
		Request: upstream.Request{
			Method:     http.MethodPost,
			Target:     how.Path(),
			Header:     x.chatHeader(false),
			Body:       question.B,
			Repeatable: true,
		},
		Held:          question,
		Conversation:  d.Conversation,
		Repeat:        d.Repeatable,
		RetryStatuses: true,
		Translated:    true,
	}
	if d.Renames() {
		req.Rename = func(dst []byte, model string) []byte { return turn.AppendRenamed(dst, question.B, model) }
	}
	x.call = x.gen.pools.Route(d.Route).Call(req)
	ctx, cancel := x.work()
	defer x.call.Drop()
	defer cancel(nil)
	return x.call.Send(ctx, func(ans *upstream.Answer) *failure.Failure { return x.counted(ctx, how, ans) })
}

// counted answers with what the backend has counted.
func (x *exchange) counted(ctx context.Context, how translate.Count, ans *upstream.Answer) *failure.Failure {
	defer ans.Close()
	ans.Keep(false)
	if ans.Status != http.StatusOK {
		f := x.call.Refused(ctx, ans)
		if f.Kind == failure.UpstreamStatus {
			f.Reply = how.Refused(f.Reply)
		}
		return f
	}
	said := buffer.Metered(&x.held)
	defer said.Put()
	if f := x.call.Read(ctx, ans, said, x.gen.cfg.Limits.ResponseBodyBytes); f != nil {
		return f
	}
	body, err := how.AppendAnswer(nil, said.B)
	if err != nil {
		return failure.Of(failure.UpstreamAnswer, err)
	}
	ans.Keep(true)
	x.json(http.StatusOK, body)
	return nil
}
