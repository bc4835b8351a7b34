package mockllm

import (
	"context"
	"encoding/json"
	"hash/maphash"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
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

// Stats returns the counters as they are now.
func (m *Mock) Stats() Stats {
	c := &m.stats
	return Stats{
		Requests: c.requests.Load(), Active: c.active.Load(), Completed: c.completed.Load(),
		Refused: c.refused.Load(), Faults: c.faults.Load(), Aborted: c.abortedN.Load(),
	}
}

// Wait returns when the counters satisfy ok, looked at whenever a request
// ends, or with the context's error.
func (m *Mock) Wait(ctx context.Context, ok func(Stats) bool) (Stats, error) {
	for {
		m.stats.mu.Lock()
		if m.stats.changed == nil {
			m.stats.changed = make(chan struct{})
		}
		changed := m.stats.changed
		m.stats.mu.Unlock()
		if s := m.Stats(); ok(s) {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return m.Stats(), ctx.Err()
		}
	}
}

// serveStats is GET /mock/stats. With ?aborted=N or ?idle=1 it answers when N
// requests were aborted or none is active, at the latest after ?wait (a Go
// duration, 5s by default).
func (m *Mock) serveStats(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if !q.Has("aborted") && !q.Has("idle") {
		writeJSON(w, http.StatusOK, m.Stats())
		return
	}
	limit, err := time.ParseDuration(q.Get("wait"))
	if err != nil {
		limit = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()
	aborted, _ := strconv.ParseInt(q.Get("aborted"), 10, 64)
	s, _ := m.Wait(ctx, func(s Stats) bool {
		return s.Aborted >= aborted && (!q.Has("idle") || s.Active == 0)
	})
	writeJSON(w, http.StatusOK, s)
}

// A faultCounter lets a fault happen to the first requests with one body only,
// so that a client's retry of it succeeds.
type faultCounter struct {
	mu   sync.Mutex
	seen map[uint64]int
}

var faultSeed = maphash.MakeSeed()

const maxFaultBodies = 10000

// take is true for the first n calls with the same body.
func (f *faultCounter) take(body []byte, n int) bool {
	key := maphash.Bytes(faultSeed, body)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil || len(f.seen) >= maxFaultBodies {
		f.seen = make(map[uint64]int)
	}
	f.seen[key]++
	return f.seen[key] <= n
}

func (m *Mock) models(w http.ResponseWriter, _ *http.Request) {
	now := time.Now().Unix()
	writeJSON(w, http.StatusOK, map[string]any{
		"object": "list",
		"data": []any{map[string]any{
			"id": m.opt.Model, "object": "model", "created": now, "owned_by": "vllm",
			"root": m.opt.Model, "parent": nil, "max_model_len": m.opt.MaxModelLen,
			"permission": []any{map[string]any{
				"id": "modelperm-" + hexID(), "object": "model_permission", "created": now,
				"allow_create_engine": false, "allow_sampling": true, "allow_logprobs": true,
				"allow_search_indices": false, "allow_view": true, "allow_fine_tuning": false,
				"organization": "*", "group": nil, "is_blocking": false,
			}},
		}},
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only maps, strings and numbers of this package come here
	}
	writeBody(w, status, b)
}

func writeBody(w http.ResponseWriter, status int, b []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that left is seen by its context
}

func readAll(r io.Reader, dst []byte) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}
