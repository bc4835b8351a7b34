package mockllm

import (
	"fmt"
	"hash/maphash"
	"net/http"
	"strings"
	"sync"
)

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

// writeStatus is the answer of the status directive.
func (s *steering) writeStatus(w http.ResponseWriter) {
	if s.retryAfter != "" {
		w.Header().Set("Retry-After", s.retryAfter)
	}
	message := "mock: " + http.StatusText(s.status)
	switch s.errorBody {
	case "flat":
		writeJSON(w, s.status, map[string]any{"object": "error", "message": message,
			"type": "MockError", "param": nil, "code": s.status})
	case "html":
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(s.status)
		fmt.Fprintf(w, "<html><body><h1>%d %s</h1></body></html>\n", s.status, http.StatusText(s.status))
	case "empty":
		w.WriteHeader(s.status)
	default:
		typ := strings.ReplaceAll(http.StatusText(s.status), " ", "")
		if !strings.HasSuffix(typ, "Error") {
			typ += "Error"
		}
		(&refusal{status: s.status, typ: typ, message: message}).write(w)
	}
}
