package dispatch

import (
	"time"

	"antwort/server/balance"
	"antwort/server/buffer"
	"antwort/server/trace"
	"antwort/server/upstream"
	"antwort/shared/failure"
)

// Request is what a Call sends, and how. It is kept until something of an answer
// is the client's.
type Request struct {
	upstream.Request        // but for what a backend decides: Authorization, model, time
	Credential       []byte // the client's, for backends without a key: header lines

	Held *buffer.Buffer // Body is in it; nil when there is none
	// Rename appends the body with another model; nil when there is none in it.
	Rename func(dst []byte, model string) []byte

	Conversation  uint64        // for affinity; 0: none
	Repeat        bool          // may be sent to another backend after it was sent to one
	RetryStatuses bool          // 429 and 503 are tried again at the same backend too
	Translated    bool          // an answer that is no completion is the last of its connection
	Quick         time.Duration // until the header, before another backend is tried; 0: the backend's own
	// Unread says what it means that the request's own body could not be read; nil
	// when it has no Stream.
	Unread func(error) *failure.Failure
	Span   *trace.Span // of whom the request is for; nil: it is not traced
}

// Call is the sending of one request to the backends of a pool. One goroutine at a
// time uses it. Release must be called.
type Call struct {
	Pool    *Pool
	Backend *Backend // the last that was tried; nil: none
	Retries int      // attempts after the first

	span    *trace.Span
	request *Request // nil: nothing more is sent
	renamed *buffer.Buffer
	header  int // length of the request's Header as it was given
	lease   balance.Lease
	tried   balance.Tried // in this round
	left    int           // backends not tried in this round
	count   int
	rounds  int
}

// Call makes the call of a request.
func (p *Pool) Call(r *Request) *Call {
	return &Call{Pool: p, span: r.Span, request: r, header: len(r.Header), left: len(p.backends)}
}

// Release gives the place at the backend back: the answer has ended.
func (c *Call) Release() { c.lease.Release() }

// Drop settles the call and gives back what the request Held, which must not be on
// its way any more.
func (c *Call) Drop() {
	if r := c.request; r != nil {
		r.Held.Put()
		c.renamed.Put()
	}
	c.Settle()
}

// Settle says that the answer will be nobody else's: the request is not sent
// again. What it Held, which may be on its way still, is left to the garbage
// collector.
func (c *Call) Settle() { c.request, c.renamed = nil, nil }

// Settled reports whether the request is let go of.
func (c *Call) Settled() bool { return c.request == nil }

// Idle is how long either side of the answer may be silent.
func (c *Call) Idle() time.Duration { return c.Backend.StreamIdleTimeout }

// to is the request for the backend.
func (c *Call) to(b *Backend) *upstream.Request {
	r := c.request
	r.Header = r.Header[:c.header]
	if b.Authorization != "" {
		r.Header = upstream.AppendField(r.Header, "Authorization", b.Authorization)
	} else {
		r.Header = append(r.Header, r.Credential...)
	}
	r.Header = c.span.Append(r.Header)
	r.HeaderTimeout = b.ResponseTimeout
	if r.Quick > 0 {
		r.HeaderTimeout = min(r.Quick, r.HeaderTimeout)
	}
	if r.Rename != nil && b.Model == "" {
		r.Body = r.Held.B
	} else if r.Rename != nil {
		if c.renamed == nil {
			c.renamed = buffer.Get()
			c.renamed.Grow(len(r.Held.B) + len(b.Model))
		}
		c.renamed.B = r.Rename(c.renamed.B[:0], b.Model)
		r.Body = c.renamed.B
	}
	return &r.Request
}

// choose takes a place at a backend that was not tried in this round; nil: none has one.
func (c *Call) choose() *Backend {
	c.lease.Release()
	var has bool
	if c.lease, has = c.Pool.group.Pick(c.request.Conversation, c.tried); !has {
		return nil
	}
	c.tried.Add(c.lease.Index)
	c.left--
	c.count++
	c.Backend = c.Pool.backends[c.lease.Index]
	c.Backend.requests.Inc()
	c.span.Try(&trace.Backend{Route: c.Pool.Name, URL: c.Backend.URL, Model: c.Backend.Model})
	return c.Backend
}

// mayRetry reports whether a further attempt may be made, and how long to wait
// before: not at all while there are backends that were not tried; then a new
// round begins, if same allows to ask the same backend again.
func (c *Call) mayRetry(same bool) (time.Duration, bool) {
	retry := c.Pool.from.retry
	switch {
	case c.count >= retry.MaxAttempts:
		return 0, false
	case c.left > 0:
		return 0, true
	case !same:
		return 0, false
	}
	c.rounds++
	c.tried, c.left = 0, len(c.Pool.backends)
	return backoff(retry.BaseDelay, retry.MaxDelay, c.rounds), true
}

// MayMove reports whether another backend could answer in the place of one whose
// answer breaks.
func (c *Call) MayMove() bool {
	r := c.request
	return r != nil && r.Repeat && c.left > 0 && c.count < c.Pool.from.retry.MaxAttempts
}

// reached says that the backend is there.
func (c *Call) reached() {
	if c.lease.Answered() {
		c.Pool.from.log.Info("a backend is back", "route", c.Pool.Name, "backend", c.Backend.URL)
	}
}

// unreached says that the backend could not be reached.
func (c *Call) unreached(why string) {
	if d := c.lease.Failed(); d > 0 && len(c.Pool.backends) > 1 {
		c.Backend.ejected.Inc()
		c.Pool.from.log.Warn("a backend is left out for a while", "route", c.Pool.Name, "backend", c.Backend.URL, "failure", why, "for", d.String())
	}
}

func (c *Call) countRetry(reason string) {
	c.Retries++
	c.Pool.from.metrics.retries.WithLabelValues(reason).Inc()
}

// countError counts a failed attempt.
func (c *Call) countError(kind string) {
	c.span.TryFailed(kind)
	m := c.Pool.from.metrics
	m.errors.WithLabelValues(kind).Inc()
	m.failures.WithLabelValues(c.Pool.Name, c.Backend.URL, kind).Inc()
}
