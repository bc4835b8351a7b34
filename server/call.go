package server

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"time"

	"antwort/server/upstream"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/translate"
)

func (g *generation) unix() int64 { return g.now().Unix() }

// work returns a context for work upstream. It ends, with a cause, by cancel,
// when draining is over, and with the request, until its connection is taken
// over. cancel must be called.
func (x *exchange) work() (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	ending := context.AfterFunc(x.gen.ending, func() { cancel(context.Cause(x.gen.ending)) })
	up := x.upload
	x.unlink = context.AfterFunc(x.r.Context(), func() {
		if up.clientLeft() {
			cancel(errClientGone)
		}
	})
	client := x.unlink
	return ctx, func(cause error) {
		ending()
		client()
		cancel(cause)
	}
}

// backoff doubles with each attempt; the random part keeps clients apart.
func backoff(base, limit time.Duration, attempt int) time.Duration {
	d := limit
	if attempt < 16 {
		d = min(base<<(attempt-1), limit)
	}
	return d/2 + rand.N(d/2+1)
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retryAfter reads seconds or an HTTP date (RFC 9110 section 10.2.3).
func retryAfter(v string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now)), true
	}
	return 0, false
}

// discard closes an answer that is not wanted; a short one is read to its end,
// so that the connection can be kept.
func discard(ans *upstream.Answer) {
	ans.SetReadDeadline(time.Now().Add(discardTime))
	_, _ = io.CopyN(io.Discard, ans, discardBytes)
	ans.Close()
}

const (
	discardTime  = 100 * time.Millisecond
	discardBytes = 16 << 10
)

// outageRetryAfter is told to clients while an upstream that was there before
// cannot be reached, in seconds.
const outageRetryAfter = "5"

// upstreamFailed says what an exchange without an answer means for the client.
func (x *exchange) upstreamFailed(ctx context.Context, e *upstream.Error) *failure.Failure {
	if ctx.Err() != nil && e.Kind != upstream.Body {
		return x.ended(ctx)
	}
	switch e.Kind {
	case upstream.Connect:
		if !x.pool.contacted.Load() {
			return failure.Of(failure.UpstreamConnect, translate.ConnectError()).Because(e)
		}
		out := responses.NewError(http.StatusServiceUnavailable, "upstream_unavailable", "the model server cannot be reached at the moment: try again later")
		out.RetryAfter = outageRetryAfter
		return failure.Of(failure.UpstreamConnect, out).Because(e)
	case upstream.Timeout:
		return failure.Of(failure.UpstreamTimeout, translate.TimeoutError()).Because(e)
	case upstream.Body:
		return x.readError(e.Err, x.gen.cfg.Limits.RequestBodyBytes)
	case upstream.Closed:
		return failure.Of(failure.UpstreamClosed, responses.NewError(http.StatusBadGateway, "upstream_closed", "the model server closed the connection without an answer")).Because(e)
	default:
		return failure.Of(failure.UpstreamMalformed, responses.NewError(http.StatusBadGateway, "upstream_malformed", "the model server's answer is not valid HTTP")).Because(e)
	}
}

// ended says what the end of ctx means for the client.
func (x *exchange) ended(ctx context.Context) *failure.Failure {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errShutdown):
		e := responses.NewError(http.StatusServiceUnavailable, "server_shutting_down", "the server is shutting down: send the request again")
		e.RetryAfter = "1"
		return failure.Of(failure.Shutdown, e)
	case errors.Is(cause, errPanicked):
		return failure.Of(failure.Panic, policy.Internal())
	case errors.Is(cause, errSilent):
		return failure.Of(failure.UpstreamSilent, translate.TimeoutError()).Because(cause)
	default:
		return failure.Of(failure.ClientGone, nil).Because(cause)
	}
}

// broken says what a failed read of the upstream's answer means for the client.
func (x *exchange) broken(ctx context.Context, err error) *failure.Failure {
	if ctx.Err() != nil {
		return x.ended(ctx)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return failure.Of(failure.UpstreamSilent, translate.TimeoutError()).Because(errSilent)
	}
	return x.brokeOff(err)
}

func (x *exchange) brokeOff(err error) *failure.Failure {
	x.countError("cut")
	return failure.Of(failure.UpstreamCut, translate.CutError()).Because(err)
}
