package envoy

import (
	"fmt"
	"strconv"
)

// maxConcurrent replaces Envoy's circuit breakers, which let 1,024 requests
// pass: a stream here is one request for minutes. What bounds the load are the
// limits of the configuration and the backend itself.
const maxConcurrent = 1 << 16

// breaker is how much a pool's cluster does at once. All workers of an Envoy count
// together; the look at the count and the step to the next one are two, so that of
// requests of the same moment each worker but one may let one too many pass. Those that
// wait for a connection are counted apart, and refused when it is there.
func (p *pool) breaker() object {
	requests := any(maxConcurrent)
	if p.most > 0 {
		requests = p.most
	}
	return object{
		{"max_connections", maxConcurrent}, {"max_pending_requests", requests},
		{"max_requests", requests}, {"max_retries", maxConcurrent},
	}
}

// bound sets how many requests the pools may have at once. Envoy counts for all backends
// of a pool together, so they must be alike. of is limits.max_requests.
func bound(pools []pool, of int) error {
	if of > 0 && len(pools) > 1 {
		return fmt.Errorf("limits.max_requests: Envoy counts the requests of each route by itself: give the backends of each route max_requests (engine.max_requests is for all of them)")
	}
	for i := range pools {
		p := &pools[i]
		if err := p.bound("routes[" + strconv.Itoa(i) + "]"); err != nil {
			return err
		}
		if of > 0 && (p.most == 0 || of < p.most) {
			p.most = of
		}
	}
	return nil
}

func (p *pool) bound(at string) error {
	most := p.Backends[0].MaxRequests
	for j, b := range p.Backends {
		if b.MaxRequests != most {
			return fmt.Errorf("%s.backends[%d].max_requests: Envoy counts for all backends of a route together, and another one has another: make a route of each", at, j)
		}
	}
	if most == 0 {
		return nil
	}
	if !p.unweighted() {
		return fmt.Errorf("%s.backends[0].max_requests: Envoy counts for all backends of a route together, and with weights one would have more than the others: leave the weights or max_requests out", at)
	}
	// What is behind the first priority has to do for all when that is gone.
	fewest := len(p.Backends)
	for _, group := range p.priorities() {
		fewest = min(fewest, len(group))
	}
	p.most = most * fewest
	return nil
}
