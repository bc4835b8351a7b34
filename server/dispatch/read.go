package dispatch

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"antwort/server/buffer"
	"antwort/server/upstream"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/translate"
)

var errTooLarge = errors.New("answer is over the limit")

// TooLarge is the failure of an answer that is over the limit.
func TooLarge() *failure.Failure {
	return failure.Of(failure.UpstreamAnswer, responses.AnswerTooLarge()).Because(errTooLarge)
}

// Read appends a whole answer of at most limit bytes to buf. What the upstream
// sends may not pause for longer than a stream may.
func (c *Call) Read(ctx context.Context, ans *upstream.Answer, buf *buffer.Buffer, limit int64) *failure.Failure {
	before := int64(len(buf.B))
	if ans.Length > 0 { // one byte more lets the read that fills it see the end
		buf.Grow(int(min(ans.Length, limit, 1<<20)) + 1)
	}
	for more := true; more; {
		if !buf.Grow(512) {
			return failure.Of(failure.Overloaded, policy.Overloaded())
		}
		var f *failure.Failure
		if more, f = c.ReadSome(ctx, ans, buf); f != nil {
			return f
		}
		if int64(len(buf.B))-before > limit {
			return TooLarge()
		}
	}
	return nil
}

// ReadSome reads once into the free part of buf. It returns false at the end.
func (c *Call) ReadSome(ctx context.Context, ans *upstream.Answer, buf *buffer.Buffer) (more bool, f *failure.Failure) {
	ans.SetReadDeadline(time.Now().Add(c.Idle()))
	n, err := ans.Read(buf.B[len(buf.B):cap(buf.B)])
	buf.B = buf.B[:len(buf.B)+n]
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, io.EOF):
		return false, nil
	default:
		return false, c.Broken(ctx, err)
	}
}

// errorBody is as much as is read of an upstream's refusal.
const errorBody = 64 << 10

// Refused translates an answer that is an error.
func (c *Call) Refused(ctx context.Context, ans *upstream.Answer) *failure.Failure {
	buf := buffer.Get()
	defer buf.Put()
	ans.SetReadDeadline(time.Now().Add(c.Idle()))
	if err := buf.ReadAll(io.LimitReader(ans, errorBody), errorBody); err != nil && ctx.Err() != nil {
		return Ended(ctx)
	}
	e := translate.UpstreamError(ans.Status, buf.B, ans.Header.Get("Retry-After"), c.Backend.Authorization != "")
	return failure.Of(failure.UpstreamStatus, e)
}

// SendWhole sends a request that was Translated, and has its whole answer read, of at
// most limit bytes: read is given what said has of it. A refusal is a failure.
func (c *Call) SendWhole(ctx context.Context, said *buffer.Buffer, limit int64, read func([]byte) *failure.Failure) *failure.Failure {
	return c.Send(ctx, func(ans *upstream.Answer) *failure.Failure {
		defer ans.Close()
		ans.Keep(false)
		if ans.Status != http.StatusOK {
			return c.Refused(ctx, ans)
		}
		said.B = said.B[:0] // of a backend that broke off
		f := c.Read(ctx, ans, said, limit)
		if f == nil {
			f = read(said.B)
		}
		ans.Keep(f == nil)
		return f
	})
}
