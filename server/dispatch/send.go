package dispatch

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"antwort/server/upstream"
	"antwort/shared/failure"
)

// Send sends the request and has its answer consumed, which closes it. When that
// breaks off before anything of it is the client's, another backend is asked, if
// the request may be repeated. A failure that consume returns after it has called
// Settle is final.
func (c *Call) Send(ctx context.Context, consume func(*upstream.Answer) *failure.Failure) *failure.Failure {
	return c.Resume(ctx, nil, consume)
}

// Resume is Send from an answer on that is there already; nil: none is.
func (c *Call) Resume(ctx context.Context, ans *upstream.Answer, consume func(*upstream.Answer) *failure.Failure) *failure.Failure {
	for {
		var f *failure.Failure
		if ans == nil {
			ans, f = c.answer(ctx)
		}
		if f == nil {
			f = consume(ans)
		}
		if f == nil || f.Kind != failure.UpstreamCut || !c.MayMove() {
			return f
		}
		c.countRetry("cut")
		ans = nil
	}
}

// answer sends the request, again after failures that a further attempt may mend.
func (c *Call) answer(ctx context.Context) (*upstream.Answer, *failure.Failure) {
	for {
		b := c.choose()
		if b == nil {
			return nil, full()
		}
		ans, err := b.client.Do(ctx, c.to(b))
		var reason string
		var delay time.Duration
		var more bool
		if err != nil {
			var e *upstream.Error
			errors.As(err, &e)
			if reason, delay, more = c.afterError(ctx, e); !more {
				return nil, c.unanswered(ctx, e)
			}
		} else {
			c.span.TryAnswered(ans.Status)
			if reason, delay, more = c.afterAnswer(ans); !more {
				return ans, nil
			}
			ans.Keep(!c.request.Translated)
			Discard(ans)
		}
		c.countRetry(reason)
		if delay > 0 {
			c.lease.Release()
			if !sleep(ctx, delay) {
				return nil, Ended(ctx)
			}
		}
	}
}

// afterError decides whether to send the request again after there was no answer.
func (c *Call) afterError(ctx context.Context, e *upstream.Error) (reason string, delay time.Duration, more bool) {
	if ctx.Err() != nil {
		return "", 0, false
	}
	reason = e.Kind.String()
	c.countError(reason)
	switch e.Kind {
	case upstream.Connect:
		c.unreached(reason)
		delay, more = c.mayRetry(true)
	case upstream.Closed:
		c.unreached(reason)
		if c.request.Repeat {
			delay, more = c.mayRetry(false)
		}
	case upstream.Timeout:
		if c.request.Quick > 0 {
			delay, more = c.mayRetry(false)
		} else {
			c.unreached(reason)
		}
	}
	return reason, delay, more
}

// afterAnswer decides whether to send the request again instead of taking an
// answer: one that says to come back later, or a gateway's about what is behind
// it.
func (c *Call) afterAnswer(ans *upstream.Answer) (reason string, delay time.Duration, more bool) {
	c.Pool.contacted.Store(true)
	c.Pool.from.contacted.Store(true)
	r := c.request
	same := r.RetryStatuses // the same backend may be asked again
	switch ans.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
	case http.StatusBadGateway:
		c.reached()
		same = false
	default:
		c.reached()
		return "", 0, false
	}
	if !same && (len(c.Pool.backends) == 1 || !r.Repeat) {
		return "", 0, false
	}
	reason = strconv.Itoa(ans.Status)
	c.countError(reason)
	if delay, more = c.mayRetry(same); !more || delay == 0 {
		return reason, 0, more
	}
	if after, ok := retryAfter(ans.Header.Get("Retry-After"), c.Pool.from.now()); ok {
		delay = max(delay, after)
		more = after <= c.Pool.from.retry.MaxDelay
	}
	return reason, delay, more
}
