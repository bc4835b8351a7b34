// Package mockllm is a stand-in for a vLLM server: POST /v1/chat/completions,
// whole and streamed, in the exact shapes of vLLM 0.32. It refuses what vLLM
// refuses and answers with what it received (see echo.go), so that a lost
// prompt, tool or parameter shows in the answer. Requests steer it into faults
// (see steer.go).
//
//	body ─ request ─ directives ─ steering ─ refusal
//	                                 └ draft ─ answer ─┬ completion ─ bytes
//	                                                   └ stream ─ wire ─ bytes
//
// It imports nothing of the gateway but jsontext: it must not share the mistakes
// that it is to show.
package mockllm

import (
	"context"
	"net/http"
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
	m := &Mock{opt: opt.withDefaults(), mux: http.NewServeMux()}
	if opt.Tokens > 0 {
		m.bench = fixedTokens(opt.Tokens, "")
	}
	m.mux.HandleFunc("/v1/chat/completions", m.chat)
	m.mux.HandleFunc("/tokenize", m.tokenize)
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
	if refused := refuse(req, &m.opt); refused != nil {
		return nil, nil, refused
	}
	a := m.bench
	if a == nil || st.answers() {
		a = compose(req, st, &m.opt)
	} else {
		a = a.forRequest(req, &m.opt)
	}
	return a, st, nil
}

// Stats returns the counters as they are now.
func (m *Mock) Stats() Stats { return m.stats.now() }

// Wait returns when the counters satisfy ok, looked at whenever a request
// ends, or with the context's error.
func (m *Mock) Wait(ctx context.Context, ok func(Stats) bool) (Stats, error) {
	return m.stats.wait(ctx, ok)
}
