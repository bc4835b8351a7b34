package mockllm

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

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
