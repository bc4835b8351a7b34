package server

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"antwort/server/buffer"
	"antwort/server/upstream"
	"antwort/shared/failure"
	"antwort/shared/jsontext"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// Provider vllm-responses: a request goes on as it came, but perhaps with
// another model, and the answer comes back as it is. A stream is cut into events
// and watched, never rebuilt.

// forward answers any request of the API by its decision. body is what was read
// of it, nil when nothing was; forward puts it back.
func (x *exchange) forward(d *policy.Decision, body *buffer.Buffer) {
	a := &attempts{pool: x.gen.pools[d.Route], body: body, key: d.Conversation, repeatable: d.Repeatable}
	a.request = upstream.Request{
		Method:     x.method,
		Target:     x.target(),
		Repeatable: x.method == http.MethodGet || x.method == http.MethodHead,
	}
	if body != nil {
		a.request.Body = body.B
		if d.Reading != nil && d.Renames() {
			a.rename = d.Reading.AppendRenamed
		}
	} else {
		a.body = buffer.Get()
		if f := x.attachBody(a); f != nil {
			a.drop()
			x.answerFailure(f)
			return
		}
	}
	x.forwardTo(a)
}

// target is the request's path and query, for the upstream.
func (x *exchange) target() string {
	query := x.r.URL.RawQuery
	if query == "" {
		return x.path
	}
	// HTTP/2 lets spaces pass, which would end the target here.
	return x.path + "?" + strings.ReplaceAll(query, " ", "%20")
}

// forwardTo answers with the first backend's answer that is whole, or has begun
// to be the client's.
func (x *exchange) forwardTo(a *attempts) {
	a.request.Header, a.own = x.forwardHeader()
	x.attempt(a)
	ctx, cancel := x.work()
	watched := false
	defer func() {
		if !watched {
			cancel(nil)
			a.drop()
		}
	}()
	for {
		ans, f := x.call(ctx)
		if f == nil && x.isWatched(ans) {
			watched = true
			x.watch(ctx, cancel, ans)
			return
		}
		if f == nil {
			f = x.passWhole(ctx, ans)
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

// passWhole passes an answer that is no stream of events on.
func (x *exchange) passWhole(ctx context.Context, ans *upstream.Answer) *failure.Failure {
	defer ans.Close()
	head := buffer.Get()
	defer head.Put()
	if ans.Length > 0 {
		head.Grow(int(min(ans.Length, wholeAnswer)) + 1)
	}
	more := true
	for more && len(head.B) < wholeAnswer {
		head.Grow(512)
		var f *failure.Failure
		if more, f = x.readMore(ctx, ans, head); f != nil {
			return f
		}
	}
	copyAnswerHeader(x.header(), ans.Header)
	x.header()["X-Request-Id"] = []string{x.id}
	if !more && x.method != http.MethodHead {
		x.header()["Content-Length"] = []string{strconv.Itoa(len(head.B))}
	}
	if ans.Status == http.StatusOK && x.endpoint == x.gen.endpoints.responses && !more {
		x.readUsage(head.B)
	}
	x.begin(ans.Status)
	for {
		x.write(head.B)
		if x.failure != failure.None || !more {
			return nil
		}
		head.B = head.B[:0]
		var f *failure.Failure
		if more, f = x.readMore(ctx, ans, head); f != nil {
			x.note(f.Kind, f.Cause)
			panic(http.ErrAbortHandler) // the client must not take it for the end
		}
	}
}

// wholeAnswer is the largest answer that is held before it is passed on, so
// that one which breaks off still becomes an error with a status.
const wholeAnswer = 256 << 10

// readMore reads once into the free part of buf. It returns false at the end.
func (x *exchange) readMore(ctx context.Context, ans *upstream.Answer, buf *buffer.Buffer) (bool, *failure.Failure) {
	ans.SetReadDeadline(time.Now().Add(x.idle()))
	n, err := ans.Read(buf.B[len(buf.B):cap(buf.B)])
	buf.B = buf.B[:len(buf.B)+n]
	switch err {
	case nil:
		return true, nil
	case io.EOF:
		return false, nil
	default:
		return false, x.broken(ctx, err)
	}
}

// readUsage looks for the token counts of a whole response, and for the model
// if the request has named none.
func (x *exchange) readUsage(body []byte) {
	if x.model == "" {
		value, _ := jsontext.LastMember(body, "model")
		if name, ok := jsontext.Text(value); ok && jsontext.Inside(name) {
			x.model = string(jsontext.Decode(nil, name))
		}
	}
	x.outcome.Usage, x.outcome.HasUsage = responses.FindUsage(body, "usage")
}
