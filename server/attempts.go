package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"antwort/server/balance"
	"antwort/server/buffer"
	"antwort/server/upstream"
	"antwort/shared/failure"
)

// attempts are the sending of one request, to one backend of a pool after the
// other, until something of an answer is the client's. What it takes to send the
// request again is kept here until then.
type attempts struct {
	pool *pool
	key  uint64 // the conversation's, for affinity; 0: none

	request upstream.Request // but for what a backend decides: Authorization, model, time
	own     []byte           // the client's credential, for backends without a key: header lines
	body    *buffer.Buffer   // request.Body is in it
	// rename appends the body with another model; nil when there is none in it.
	rename  func(dst []byte, model string) []byte
	renamed *buffer.Buffer

	repeatable bool          // may be sent again to another backend after it was sent to one
	statuses   bool          // 429 and 503 are tried again at the same backend too
	quick      time.Duration // until the header, before another backend is tried; 0: the backend's own

	header int           // length of request.Header as it was given
	tried  balance.Tried // in this round
	left   int           // backends not tried in this round
	count  int
	rounds int
}

// attempt makes a the attempts of the exchange. drop must be called.
func (x *exchange) attempt(a *attempts) {
	a.header, a.left = len(a.request.Header), len(a.pool.backends)
	x.attempts, x.pool = a, a.pool
}

// drop lets go of what is kept, which must not be on its way any more.
func (a *attempts) drop() {
	a.body.Put()
	a.renamed.Put()
	*a = attempts{}
}

// to is the request for a backend.
func (a *attempts) to(b *backend) *upstream.Request {
	r := &a.request
	r.Header = r.Header[:a.header]
	if b.auth != "" {
		r.Header = upstream.AppendField(r.Header, "Authorization", b.auth)
	} else {
		r.Header = append(r.Header, a.own...)
	}
	r.HeaderTimeout = b.ResponseTimeout
	if a.quick > 0 {
		r.HeaderTimeout = min(a.quick, r.HeaderTimeout)
	}
	if a.rename != nil && b.Model == "" {
		r.Body = a.body.B
	} else if a.rename != nil {
		if a.renamed == nil {
			a.renamed = buffer.Get()
			a.renamed.Grow(len(a.body.B) + len(b.Model))
		}
		a.renamed.B = a.rename(a.renamed.B[:0], b.Model)
		r.Body = a.renamed.B
	}
	return r
}

// choose takes a place at a backend that was not tried in this round.
func (x *exchange) choose() *backend {
	a := x.attempts
	x.lease.Release()
	x.lease, _ = a.pool.group.Pick(a.key, a.tried) // one is left
	a.tried.Add(x.lease.Index)
	a.left--
	a.count++
	x.backend = a.pool.backends[x.lease.Index]
	x.backend.requests.Inc()
	return x.backend
}

// again reports whether a further attempt may be made, and how long to wait
// before: not at all while there are backends that were not tried; then a new
// round begins, if same allows to ask the same backend again.
func (x *exchange) again(same bool) (time.Duration, bool) {
	a, retry := x.attempts, x.gen.cfg.Engine.Retry
	switch {
	case a.count >= retry.MaxAttempts:
		return 0, false
	case a.left > 0:
		return 0, true
	case !same:
		return 0, false
	}
	a.rounds++
	a.tried, a.left = 0, len(a.pool.backends)
	return backoff(retry.BaseDelay, retry.MaxDelay, a.rounds), true
}

// call sends the request, again after failures that a further attempt may mend.
// The answer must be closed.
func (x *exchange) call(ctx context.Context) (*upstream.Answer, *failure.Failure) {
	for {
		b := x.choose()
		ans, err := b.client.Do(ctx, x.attempts.to(b))
		var reason string
		var delay time.Duration
		var more bool
		if err != nil {
			var e *upstream.Error
			errors.As(err, &e)
			if reason, delay, more = x.afterError(ctx, e); !more {
				return nil, x.upstreamFailed(ctx, e)
			}
		} else {
			if reason, delay, more = x.afterAnswer(ans); !more {
				return ans, nil
			}
			discard(ans)
		}
		x.countRetry(reason)
		if delay > 0 {
			x.lease.Release()
			if !sleep(ctx, delay) {
				return nil, x.ended(ctx)
			}
		}
	}
}

// afterError decides whether to send the request again after there was no answer.
func (x *exchange) afterError(ctx context.Context, e *upstream.Error) (reason string, delay time.Duration, more bool) {
	if ctx.Err() != nil {
		return "", 0, false
	}
	reason = e.Kind.String()
	x.countError(reason)
	switch e.Kind {
	case upstream.Connect:
		x.unreached(reason)
		delay, more = x.again(true)
	case upstream.Closed:
		x.unreached(reason)
		if x.attempts.repeatable {
			delay, more = x.again(false)
		}
	case upstream.Timeout:
		if x.attempts.quick > 0 {
			delay, more = x.again(false)
		} else {
			x.unreached(reason)
		}
	}
	return reason, delay, more
}

// afterAnswer decides whether to send the request again instead of taking an
// answer: one that says to come back later, or a gateway's about what is behind
// it.
func (x *exchange) afterAnswer(ans *upstream.Answer) (reason string, delay time.Duration, more bool) {
	x.pool.contacted.Store(true)
	x.gen.contacted.Store(true)
	a := x.attempts
	same := a.statuses // the same backend may be asked again
	switch ans.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
	case http.StatusBadGateway:
		x.reached()
		same = false
	default:
		x.reached()
		return "", 0, false
	}
	if !same && (len(x.pool.backends) == 1 || !a.repeatable) {
		return "", 0, false
	}
	reason = strconv.Itoa(ans.Status)
	x.countError(reason)
	if delay, more = x.again(same); !more || delay == 0 {
		return reason, 0, more
	}
	if after, ok := retryAfter(ans.Header.Get("Retry-After"), x.gen.now()); ok {
		delay = max(delay, after)
		more = after <= x.gen.cfg.Engine.Retry.MaxDelay
	}
	return reason, delay, more
}

// replaceable reports whether another backend could answer in the place of one
// whose answer breaks.
func (x *exchange) replaceable() bool {
	a := x.attempts
	return a != nil && a.repeatable && a.left > 0 && a.count < x.gen.cfg.Engine.Retry.MaxAttempts
}

// another reports whether the request goes to another backend although one had
// begun to answer: that answer broke before anything of it was the client's.
func (x *exchange) another(f *failure.Failure) bool {
	if f.Kind != failure.UpstreamCut || !x.replaceable() {
		return false
	}
	x.countRetry("cut")
	return true
}

// reached says that the backend is there.
func (x *exchange) reached() {
	if x.lease.Answered() {
		x.gen.log.Info("a backend is back", "route", x.pool.Name, "backend", x.backend.URL)
	}
}

// unreached says that the backend could not be reached.
func (x *exchange) unreached(why string) {
	if d := x.lease.Failed(); d > 0 && len(x.pool.backends) > 1 {
		x.backend.ejections.Inc()
		x.gen.log.Warn("a backend is left out for a while", "route", x.pool.Name, "backend", x.backend.URL, "failure", why, "for", d.String())
	}
}

func (x *exchange) countRetry(reason string) {
	x.retries++
	x.gen.metrics.retry(reason)
}

// countError counts a failed attempt.
func (x *exchange) countError(kind string) {
	x.gen.metrics.upstreamError(kind)
	x.gen.metrics.backendFailures.WithLabelValues(x.pool.Name, x.backend.URL, kind).Inc()
}
