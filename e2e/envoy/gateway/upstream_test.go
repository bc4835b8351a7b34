package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// upstream is a backend of the Responses API: a streamed request gets its first
// event at once and the rest when the test says so.
type upstream struct {
	*httptest.Server
	name    string
	mu      sync.Mutex
	release chan struct{}
	seen    []*http.Request
}

func newUpstream(t *testing.T, name string) *upstream {
	t.Helper()
	u := &upstream{name: name, release: make(chan struct{})}
	u.Server = httptest.NewServer(u)
	t.Cleanup(func() {
		u.finish()
		u.Close()
	})
	return u
}

// finish lets all streams end, those that come later too.
func (u *upstream) finish() {
	u.mu.Lock()
	defer u.mu.Unlock()
	select {
	case <-u.release:
	default:
		close(u.release)
	}
}

// requests are those that have come so far, without probes.
func (u *upstream) requests() []*http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]*http.Request(nil), u.seen...)
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // what did not come is not answered
	w.Header().Set("Server", "uvicorn")
	w.Header().Set("X-Upstream", u.name)
	if r.URL.Path == "/healthz" || r.URL.Path == "/health" || r.UserAgent() == "antwort" {
		return
	}
	u.mu.Lock()
	u.seen = append(u.seen, r)
	u.mu.Unlock()
	if !bytes.Contains(body, []byte(`"stream":true`)) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"path":%q,"from":%q}`, r.URL.Path, u.name)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\",\"output\":[]}}\n\n")
	w.(http.Flusher).Flush()
	select {
	case <-u.release:
	case <-r.Context().Done():
		return
	}
	fmt.Fprint(w, "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":1,\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\"output\":[]}}\n\ndata: [DONE]\n\n")
}
