package reqbody

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// Bound counts the bytes that all exchanges of a process hold: bodies as they are
// read and as they are translated, what is parsed of them, and answers. It is safe
// for concurrent use.
type Bound struct{ held atomic.Int64 }

// Held returns how many bytes are held at the moment.
func (b *Bound) Held() int64 { return b.held.Load() }

// aside is what an exchange is charged from its begin to its end, whether it holds
// as much or not, in bytes: as much as a waiting stream takes. So small requests
// count twice and are asked nothing in between.
const aside = 16 << 10

// Charge is what one exchange holds. It is safe for concurrent use.
type Charge struct {
	bound *Bound
	all   int64 // that all exchanges may hold

	mu    sync.Mutex
	limit int64 // of the bound, for more
	held  int   // by its parts
	took  int   // of the bound: at least aside
	never bool  // what was refused would be so too if nobody else held anything
	read  bool  // the request has been accepted
	over  bool
}

// Begin charges for an exchange; limit is how many bytes all may hold. It returns
// false when there is no room for another one. Release must be called in any case.
//
// Until Accept it may take three quarters of limit beyond what is set aside: large
// requests leave room for small ones, and for the answers of those who were let in.
func (b *Bound) Begin(c *Charge, limit int64) bool {
	c.bound, c.all = b, limit
	c.limit = limit - limit/4
	if !b.take(aside, limit) {
		return false
	}
	c.took = aside
	return true
}

// keptShare is the part of limit that answers leave to those that are being stored.
const keptShare = 16

// Accept says that the request has been read, and what is held from now on is for
// its answer.
func (c *Charge) Accept() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit, c.read = c.all-c.all/keptShare, true
}

// Hold charges n bytes more. It returns false, and charges nothing, when there is
// no room for them.
func (c *Charge) Hold(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	if more := c.held + n - c.took; more > 0 {
		if !c.bound.take(more, c.limit) {
			c.never = int64(c.held+n) > c.limit
			return false
		}
		c.took += more
	}
	c.held += n
	return true
}

// LetGo gives n bytes back.
func (c *Charge) LetGo(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.held -= n
	if less := c.took - max(c.held, aside); less > 0 {
		c.took -= less
		c.bound.held.Add(-int64(less))
	}
}

// Release gives everything back. What is let go afterwards has been.
func (c *Charge) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.took > 0 {
		c.bound.held.Add(-int64(c.took))
	}
	c.held, c.took, c.over = 0, 0, true
}

// Refusal is what the client is told when Hold, or Begin, has returned false: to
// come back, or that there will never be as much.
func (c *Charge) Refusal() *failure.Failure {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.never && !c.read {
		return failure.Of(failure.TooLarge, responses.NewError(http.StatusRequestEntityTooLarge, "request_too_large",
			fmt.Sprintf("the request needs more memory than this server has for all (limits.in_flight_bytes: %d bytes)", c.all)))
	}
	return failure.Of(failure.Overloaded, policy.Overloaded())
}

// take adds n when the sum stays within limit.
func (b *Bound) take(n int, limit int64) bool {
	for {
		held := b.held.Load()
		if held+int64(n) > limit {
			return false
		}
		if b.held.CompareAndSwap(held, held+int64(n)) {
			return true
		}
	}
}
