package server

import (
	"context"
	"net/http"
	"time"

	"antwort/server/buffer"
	"antwort/server/header"
	"antwort/server/streaming"
	"antwort/server/upstream"
	"antwort/shared/failure"
	"antwort/shared/responses"
	"antwort/shared/sse"
)

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
	x.start(ans.Status)
	usage := usageReader{framer: sse.Framer{Max: int(x.gen.cfg.Limits.EventBytes)}}
	for {
		if x.rec.FirstEvent == 0 && len(buf.B) > 0 {
			x.rec.FirstEvent = time.Since(x.rec.Start)
		}
		usage.read(buf.B)
		x.write(buf.B)
		if err := http.NewResponseController(x.w).Flush(); err != nil {
			x.rec.Fail(failure.ClientGone, err)
		}
		if x.rec.Failure != failure.None || !more {
			x.rec.Outcome.Usage, x.rec.Outcome.HasUsage = usage.found, usage.has
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

// usageReader finds the last token counts in a stream of chat or completion
// chunks. What it cannot read, it lets be.
type usageReader struct {
	framer sse.Framer
	blind  bool // no longer looking
	found  responses.Usage
	has    bool
}

func (u *usageReader) read(piece []byte) {
	if u.blind {
		return
	}
	u.framer.Write(piece)
	defer u.framer.Release()
	for {
		ev, ok, err := u.framer.Next()
		if err != nil {
			u.blind = true
			return
		}
		if !ok {
			return
		}
		if found, has := responses.FindUsage(ev.Data, "usage"); has {
			u.found, u.has = found, true
		}
	}
}

// readLateUsage looks for the token counts at the end of a whole answer that
// passed.
func (x *exchange) readLateUsage(status int, end tail) {
	if x.endpoint.Passes && status == http.StatusOK {
		x.rec.Outcome.Usage, x.rec.Outcome.HasUsage = responses.FindUsage(end, "usage")
	}
}

// tail is the end of an answer.
type tail []byte

const tailBytes = 4 << 10

func (t *tail) keep(piece []byte) {
	piece = piece[max(0, len(piece)-tailBytes):]
	if over := len(*t) + len(piece) - tailBytes; over > 0 {
		*t = append((*t)[:0], (*t)[over:]...)
	}
	*t = append(*t, piece...)
}
