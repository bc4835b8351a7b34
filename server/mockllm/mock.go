// Package mockllm is a stand-in for a vLLM server: POST /v1/chat/completions,
// whole and streamed, in the exact shapes of vLLM 0.32. It refuses what vLLM
// refuses and answers with what it received (see echo.go), so that a lost
// prompt, tool or parameter shows in the answer. Requests steer it into faults
// (see steer.go).
package mockllm

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Options configure a Mock. The zero value serves a text model named
// /mnt/models as fast as it can.
type Options struct {
	Model           string        // served name; "" is /mnt/models
	MaxModelLen     int           // context length in tokens; 0 is 1,048,576
	Vision          bool          // accept images, audio and video; else 400 like a text model
	ReasoningParser bool          // stream and count as vLLM does with --reasoning-parser
	OpenTemplate    bool          // accept any order of messages, as a template without checks does
	APIKey          string        // when set, /v1 wants it as bearer token
	Tokens          int           // answer every prompt with this many tokens; 0 is the echo
	Burst           int           // tokens of one write; 0 is 1
	HeaderDelay     time.Duration // before the status line
	FirstDelay      time.Duration // between the header and the first token
	Delay           time.Duration // before every further token
	Log             *slog.Logger  // client aborts; nil logs nothing
}

const (
	defaultModel       = "/mnt/models"
	defaultMaxModelLen = 1 << 20
	// Version is the vLLM version whose answers these are.
	Version     = "0.32.0"
	fingerprint = "vllm-" + Version + "-mock"
)

// A Mock is the handler of one mock server. It is safe for concurrent use.
type Mock struct {
	opt    Options
	mux    *http.ServeMux
	stats  counters
	faults faultCounter
	bench  *answer // the answer of Options.Tokens
}

// New returns a server for opt.
func New(opt Options) *Mock {
	if opt.Model == "" {
		opt.Model = defaultModel
	}
	if opt.MaxModelLen == 0 {
		opt.MaxModelLen = defaultMaxModelLen
	}
	if opt.Burst < 1 {
		opt.Burst = 1
	}
	m := &Mock{opt: opt, mux: http.NewServeMux()}
	if opt.Tokens > 0 {
		m.bench = fixedTokens(opt.Tokens, "")
	}
	m.mux.HandleFunc("/v1/chat/completions", m.chat)
	m.mux.HandleFunc("/v1/models", get(m.models))
	m.mux.HandleFunc("/health", get(func(http.ResponseWriter, *http.Request) {}))
	m.mux.HandleFunc("/version", get(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"version": Version})
	}))
	m.mux.HandleFunc("/mock/stats", get(m.serveStats))
	m.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		statusRefusal(http.StatusNotFound, "Not Found").write(w)
	})
	return m
}

func (m *Mock) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "uvicorn")
	if !m.authorized(r) {
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "Unauthorized"})
		return
	}
	m.mux.ServeHTTP(w, r)
}

// authorized is vLLM's --api-key: it guards /v1 only.
func (m *Mock) authorized(r *http.Request) bool {
	return m.opt.APIKey == "" || len(r.URL.Path) < 3 || r.URL.Path[:3] != "/v1" ||
		r.Header.Get("Authorization") == "Bearer "+m.opt.APIKey
}

func get(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			statusRefusal(http.StatusMethodNotAllowed, "Method Not Allowed").write(w)
			return
		}
		h(w, r)
	}
}

var bodyBuffers = sync.Pool{New: func() any { return new([]byte) }}

func (m *Mock) chat(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		statusRefusal(http.StatusMethodNotAllowed, "Method Not Allowed").write(w)
		return
	}
	m.stats.begin()
	defer m.stats.end()

	buf := bodyBuffers.Get().(*[]byte)
	body, err := readAll(r.Body, (*buf)[:0])
	if err != nil {
		bodyBuffers.Put(buf)
		m.aborted(r, 0)
		return
	}
	a, st, refused := m.decide(r, body)
	*buf = body[:0]
	bodyBuffers.Put(buf)
	if refused != nil {
		m.stats.refused.Add(1)
		refused.write(w)
		return
	}
	m.answer(w, r, a, st)
}

// decide reads a request and decides its answer. Neither keeps the body.
func (m *Mock) decide(r *http.Request, body []byte) (*answer, *steering, *refusal) {
	p := parsers.Get()
	defer parsers.Put(p)
	req, refused := parse(p, r.Header.Get("Content-Type"), body)
	if refused != nil {
		return nil, nil, refused
	}
	st, refused := steer(r.Header, req)
	if refused != nil {
		return nil, nil, refused
	}
	if st.faulty() && st.times > 0 && !m.faults.take(body, st.times) {
		st.clearFaults()
	}
	if st.status != 0 || st.drop {
		return nil, st, nil
	}
	if req.maxModelLen = m.opt.MaxModelLen; st.maxModelLen > 0 {
		req.maxModelLen = st.maxModelLen
	}
	if refused := m.refuse(req); refused != nil {
		return nil, nil, refused
	}
	a := m.bench
	if a == nil || st.answers() {
		a = m.compose(req, st)
	} else {
		a = a.forRequest(req, m)
	}
	return a, st, nil
}

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
