package mockllm

import (
	"context"
	"sync"
	"sync/atomic"
)

// Stats count chat requests since the start. Every request that was begun and
// is no longer active is one of completed, refused, faults or aborted.
type Stats struct {
	Requests  int64 `json:"requests"`
	Active    int64 `json:"active"`
	Completed int64 `json:"completed"` // answered to the end
	Refused   int64 `json:"refused"`   // 4xx as vLLM answers them
	Faults    int64 `json:"faults"`    // failed or cut on demand
	Aborted   int64 `json:"aborted"`   // the client left first
}

type counters struct {
	requests, active, completed, refused, faults, abortedN atomic.Int64

	mu      sync.Mutex
	changed chan struct{} // closed at the next end of a request; nil without a waiter
}

func (c *counters) begin() {
	c.requests.Add(1)
	c.active.Add(1)
}

func (c *counters) end() {
	c.active.Add(-1)
	c.mu.Lock()
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
	c.mu.Unlock()
}

func (c *counters) abort() { c.abortedN.Add(1) }

// now returns the counters as they are now.
func (c *counters) now() Stats {
	return Stats{
		Requests: c.requests.Load(), Active: c.active.Load(), Completed: c.completed.Load(),
		Refused: c.refused.Load(), Faults: c.faults.Load(), Aborted: c.abortedN.Load(),
	}
}

// wait returns when the counters satisfy ok, or with the context's error.
func (c *counters) wait(ctx context.Context, ok func(Stats) bool) (Stats, error) {
	for {
		c.mu.Lock()
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		if s := c.now(); ok(s) {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return c.now(), ctx.Err()
		}
	}
}
