package conformance

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const pause = 300 * time.Millisecond

// Answer is what the upstream does.
type Answer struct {
	Status    int      // 0: 200
	Chunks    []string // each is flushed; the next waits until the filter has seen it
	Blind     bool     // the filter gets no callbacks: do not wait
	Trailers  string   // "name: value"
	Reset     bool     // the connection is reset after the chunks; without chunks before the headers
	Early     string   // answer without reading the request's body, once the filter has logged this
	Hang      bool     // after the chunks wait until the request is cancelled
	Meanwhile string   // after the first chunk another request with this script comes and goes
	WaitFor   string   // before the end wait until the filter has logged this
	Body      string   // the whole body at once, with Content-Length
}

// upstream is the handler of all exchanges, one at a time.
type upstream struct {
	mu   sync.Mutex
	x    Exchange
	r    *record
	got  string
	busy int       // requests
	idle sync.Cond // on mu: a request has ended
}

func newUpstream() *upstream {
	u := &upstream{}
	u.idle.L = &u.mu
	return u
}

func (u *upstream) begin(x Exchange, r *record) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.x, u.r, u.got = x, r, ""
}

// end gives what the upstream received.
func (u *upstream) end() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.busy > 0 {
		u.idle.Wait()
	}
	if u.got == "" {
		return "no request"
	}
	return u.got
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.busy++
	x, rec := u.x, u.r.watch(r.Context())
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.busy--
		u.idle.Broadcast()
	}()
	if r.Header.Get("x-case") != x.Name { // a call-out, or a request after the exchange
		// The exchange's own request is to arrive whole meanwhile. Nothing
		// tells when bytes have reached a proxy that holds them.
		if r.URL.Path == "/" {
			time.Sleep(pause)
		}
		_, _ = io.WriteString(w, "other")
		return
	}
	a := x.Answer
	got := fmt.Sprintf("%s %s length=%d%s", r.Method, r.URL.Path, r.ContentLength, fields(r.Header))
	u.set(got)
	close(rec.r.arrived)
	control := http.NewResponseController(w)
	if a.Early == "" {
		got += received(r)
	} else if control.EnableFullDuplex() != nil || rec.await(a.Early) != nil {
		return
	}
	u.set(got)
	if a.Hang {
		defer func() {
			<-r.Context().Done()
			u.set(got + ", then cancelled")
		}()
	}
	if a.Reset && len(a.Chunks) == 0 {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("content-type", "text/plain")
	w.Header().Set("x-answer", "upstream")
	if a.Trailers != "" {
		name, _, _ := strings.Cut(a.Trailers, ":")
		w.Header().Set("trailer", name)
	}
	if a.Status != 0 {
		w.WriteHeader(a.Status)
	}
	if len(a.Chunks) > 0 {
		if control.Flush() != nil {
			return
		}
		if !a.Blind && rec.await("response_headers") != nil {
			return
		}
	}
	for i, c := range a.Chunks {
		if i == 1 && a.Meanwhile != "" {
			rec.r.request(a.Meanwhile)
		}
		if _, err := io.WriteString(w, c); err != nil || control.Flush() != nil {
			return
		}
		if !a.Blind && rec.await("response_body") != nil {
			return
		}
	}
	if a.Early != "" {
		w.Header().Set("content-length", fmt.Sprint(len(a.Body)))
	}
	_, _ = io.WriteString(w, a.Body)
	if a.Early != "" && control.Flush() != nil {
		return
	}
	if a.WaitFor != "" && rec.await(a.WaitFor) != nil {
		return
	}
	switch {
	case a.Reset:
		panic(http.ErrAbortHandler)
	case a.Trailers != "":
		name, value, _ := strings.Cut(a.Trailers, ": ")
		w.Header().Set(name, value)
	}
	if a.Early != "" {
		u.set(got + received(r))
	}
}

func (u *upstream) set(got string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.got = got
}

// received reads the body and trailers.
func received(r *http.Request) string {
	b, err := io.ReadAll(r.Body)
	got := " body=" + short(string(b))
	if err != nil {
		got += " (cut)"
	}
	return got + fields(r.Trailer)
}

// fields gives the header fields that the exchanges are about.
func fields(h http.Header) string {
	var out string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if len(h[name]) == 0 {
			continue // a trailer that was announced and did not come
		}
		lower := strings.ToLower(name)
		switch {
		case lower == "x-case", lower == "x-script", lower == "x-request-id", strings.HasPrefix(lower, "x-envoy"), strings.HasPrefix(lower, "x-forwarded"):
		case strings.HasPrefix(lower, "x-"), lower == "content-type":
			out += " " + lower + "=" + strings.Join(h[name], ",")
		}
	}
	return out
}

// short gives a body, or the runs of equal bytes in a long one.
func short(s string) string {
	if len(s) <= 120 {
		return fmt.Sprintf("%q", s)
	}
	var out []string
	for len(s) > 0 {
		n := len(s) - len(strings.TrimLeft(s, s[:1]))
		out = append(out, fmt.Sprintf("%d×%q", n, s[:1]))
		s = s[n:]
	}
	if len(out) > 20 {
		out = append(out[:20], "…")
	}
	return strings.Join(out, " ")
}
