package dispatch

import (
	"context"
	"errors"
	"net/http"
	"os"

	"antwort/server/upstream"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/translate"
)

// Causes of the end of a call's context.
var (
	ErrShutdown   = errors.New("server is shutting down")
	ErrClientGone = errors.New("client has gone")
	ErrSilent     = errors.New("upstream sent nothing within stream_idle_timeout")
	ErrPanicked   = errors.New("panic")
)

// outageRetryAfter is told to clients while an upstream that was there before
// cannot be reached, in seconds.
const outageRetryAfter = "5"

// unanswered says what a call without an answer means for the client.
func (c *Call) unanswered(ctx context.Context, e *upstream.Error) *failure.Failure {
	if ctx.Err() != nil && e.Kind != upstream.Body {
		return Ended(ctx)
	}
	var f *failure.Failure
	switch e.Kind {
	case upstream.Connect:
		if !c.Pool.contacted.Load() {
			f = failure.Of(failure.UpstreamConnect, translate.ConnectError())
			break
		}
		out := responses.NewError(http.StatusServiceUnavailable, "upstream_unavailable", "the model server cannot be reached at the moment: try again later")
		out.RetryAfter = outageRetryAfter
		f = failure.Of(failure.UpstreamConnect, out)
	case upstream.Timeout:
		f = failure.Of(failure.UpstreamTimeout, translate.TimeoutError())
	case upstream.Body:
		return c.request.Unread(e.Err)
	case upstream.Closed:
		f = failure.Of(failure.UpstreamClosed, responses.NewError(http.StatusBadGateway, "upstream_closed", "the model server closed the connection without an answer"))
	default:
		f = failure.Of(failure.UpstreamMalformed, responses.NewError(http.StatusBadGateway, "upstream_malformed", "the model server's answer is not valid HTTP"))
	}
	return f.Because(e)
}

// full is what becomes of a request for which no backend has a place.
func full() *failure.Failure { return failure.Of(failure.Overloaded, policy.Full()) }

// Ended says what the end of ctx means for the client.
func Ended(ctx context.Context) *failure.Failure {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, ErrShutdown):
		e := responses.NewError(http.StatusServiceUnavailable, "server_shutting_down", "the server is shutting down: send the request again")
		e.RetryAfter = "1"
		return failure.Of(failure.Shutdown, e)
	case errors.Is(cause, ErrPanicked):
		return failure.Of(failure.Panic, policy.Internal())
	case errors.Is(cause, ErrSilent):
		return failure.Of(failure.UpstreamSilent, translate.TimeoutError()).Because(cause)
	default:
		return failure.Of(failure.ClientGone, nil).Because(cause)
	}
}

// Broken says what a failed read of an answer means for the client. err is nil
// when the answer ended too early.
func (c *Call) Broken(ctx context.Context, err error) *failure.Failure {
	switch {
	case err != nil && ctx.Err() != nil:
		return Ended(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return failure.Of(failure.UpstreamSilent, translate.TimeoutError()).Because(ErrSilent)
	}
	c.countError("cut")
	return failure.Of(failure.UpstreamCut, translate.CutError()).Because(err)
}
