package dispatch

import (
	"context"
	"errors"

	"antwort/server/upstream"
	"antwort/shared/failure"
)

// Upgrade sends a request for another protocol to a backend, and to another one when it
// could not be reached.
func (c *Call) Upgrade(ctx context.Context) (*upstream.Switched, *failure.Failure) {
	for {
		b := c.choose()
		if b == nil {
			return nil, full()
		}
		s, err := b.client.Upgrade(ctx, c.to(b))
		if err == nil {
			c.reached()
			c.span.TryAnswered(s.Status)
			return s, nil
		}
		var e *upstream.Error
		errors.As(err, &e)
		reason, delay, more := c.afterError(ctx, e)
		if !more {
			return nil, c.unanswered(ctx, e)
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
