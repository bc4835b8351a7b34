package mockllm

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// answer sends what was decided: the steered fault, or the answer.
func (m *Mock) answer(w http.ResponseWriter, r *http.Request, a *answer, st *steering) {
	ctx := r.Context()
	if !wait(ctx, st.headerDelay.or(m.opt.HeaderDelay)) {
		m.aborted(r, 0)
		return
	}
	switch {
	case st.drop:
		m.stats.faults.Add(1)
		panic(http.ErrAbortHandler)
	case st.status != 0:
		m.stats.faults.Add(1)
		st.writeStatus(w)
	case a.stream:
		m.stream(w, r, a, st)
	default:
		m.whole(w, r, a, st)
	}
}

func (m *Mock) aborted(r *http.Request, events int) {
	m.stats.abort()
	if m.opt.Log != nil {
		m.opt.Log.LogAttrs(context.Background(), slog.LevelInfo, "client aborted",
			slog.String("path", r.URL.Path), slog.Int("events_sent", events))
	}
}

// whole sends a chat.completion.
func (m *Mock) whole(w http.ResponseWriter, r *http.Request, a *answer, st *steering) {
	generation := st.firstDelay.or(m.opt.FirstDelay) + st.delay.or(m.opt.Delay)*time.Duration(max(0, len(a.deltas)-1))
	if !wait(r.Context(), generation) {
		m.aborted(r, 0)
		return
	}
	buf := bodyBuffers.Get().(*[]byte)
	defer bodyBuffers.Put(buf)
	*buf = a.appendWhole((*buf)[:0])
	body := *buf
	cut := len(body)
	switch {
	case st.errorAfter >= 0:
		m.stats.faults.Add(1)
		generationError.write(w)
		return
	case st.garbageAfter >= 0:
		m.stats.faults.Add(1)
		writeBody(w, http.StatusOK, []byte(garbage))
		return
	case st.cutAfter >= 0 || st.endAfter >= 0:
		cut = len(body) / 2
	case st.cutBytes >= 0:
		cut = min(cut, st.cutBytes)
	}
	if cut == len(body) {
		m.stats.completed.Add(1)
		writeBody(w, http.StatusOK, body)
		return
	}
	m.stats.faults.Add(1)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body[:cut])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

var streams = sync.Pool{New: func() any { return new(stream) }}

// stream sends the chat.completion.chunk events of an answer.
func (m *Mock) stream(w http.ResponseWriter, r *http.Request, a *answer, st *steering) {
	s := streams.Get().(*stream)
	s.wire.open(w, r, st, &m.opt, &m.stats)
	s.a = a
	s.setHead()
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	switch whole := s.run(); {
	case s.ended, whole && st.faulty():
		m.stats.faults.Add(1)
	case whole:
		m.stats.completed.Add(1)
	default:
		m.aborted(r, s.events)
	}
	s.a, s.opt, s.stats, s.st, s.w, s.rc, s.ctx = nil, nil, nil, nil, nil, nil, nil
	streams.Put(s)
}

// wait is false when ctx ended before d had passed.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
