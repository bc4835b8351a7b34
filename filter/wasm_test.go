package filter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"antwort/filter/filtertest"

	"github.com/stretchr/testify/require"
)

// The filter as it is shipped, and with the tag antwort_panic.
var module, panicking []byte

func TestMain(m *testing.M) {
	for to, tags := range map[*[]byte]string{&module: "tinygo", &panicking: "tinygo,antwort_panic"} {
		b, err := build(".", tags)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		*to = b
	}
	os.Exit(m.Run())
}

// build compiles the module as `make build` does, from a checkout that dir is in.
func build(dir, tags string) ([]byte, error) {
	temp, err := os.MkdirTemp("", "filter")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	out := filepath.Join(temp, "filter.wasm")
	args := filtertest.BuildArgs(out, "antwort/wasm")
	for i, a := range args {
		if a == "-tags=tinygo" {
			args[i] = "-tags=" + tags
		}
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build antwort/wasm: %w: %s", err, output)
	}
	return os.ReadFile(out)
}

// Profiles of provider vllm; each test that says so runs in both.
var profiles = []string{"inline", "gated"}

// config is a configuration with more keys, given as "section.key", JSON value.
func config(provider, profile string, more ...string) []byte {
	sections := map[string]map[string]any{"engine": {"provider": provider}, "filter": {"profile": profile}}
	for i := 0; i < len(more); i += 2 {
		cut := strings.LastIndexByte(more[i], '.')
		section, key := more[i][:cut], more[i][cut+1:]
		if sections[section] == nil {
			sections[section] = map[string]any{}
		}
		sections[section][key] = json.RawMessage(more[i+1])
	}
	b, err := json.Marshal(sections)
	if err != nil {
		panic(err)
	}
	return b
}

// start runs the filter in a host that fits the profile.
func start(t testing.TB, cfg []byte, upstream http.Handler, more ...func(*filtertest.Options)) *filtertest.Host {
	t.Helper()
	opt := filtertest.Options{
		Configuration:               cfg,
		Upstream:                    upstream,
		AllowOnHeadersStopIteration: bytes.Contains(cfg, []byte(`"gated"`)),
	}
	for _, f := range more {
		f(&opt)
	}
	return filtertest.New(t, module, opt)
}

// splitHost is a host for many cases: each sets the upstream's answer and how
// bodies are cut.
type splitHost struct {
	*filtertest.Host
	up    *upstream
	chunk atomic.Int64
}

func startSplit(t testing.TB, cfg []byte, more ...func(*filtertest.Options)) *splitHost {
	t.Helper()
	h := &splitHost{up: newUpstream(nil)}
	split := func(int64) int { return int(h.chunk.Load()) }
	h.Host = start(t, cfg, h.up, append(more, func(o *filtertest.Options) {
		o.RequestSplit, o.ResponseSplit = split, split
	})...)
	return h
}

// set is for the next case; chunk is in bytes, 0: all there is.
func (h *splitHost) set(answer http.HandlerFunc, chunk int) {
	h.up.set(answer)
	h.chunk.Store(int64(chunk))
}

// upstream is a model server that answers as it is told and keeps what it got.
type upstream struct {
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
	broken   []error // why reading the body failed, nil
	answer   http.HandlerFunc
}

func newUpstream(answer http.HandlerFunc) *upstream { return &upstream{answer: answer} }

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	u.mu.Lock()
	u.requests, u.bodies, u.broken = append(u.requests, r), append(u.bodies, string(body)), append(u.broken, err)
	answer := u.answer
	u.mu.Unlock()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	answer(w, r)
}

// set changes the answer, for the requests to come, and forgets the others.
func (u *upstream) set(answer http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer, u.requests, u.bodies, u.broken = answer, nil, nil, nil
}

// finished are the bodies that came to their end.
func (u *upstream) finished() (bodies []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, b := range u.bodies {
		if u.broken[i] == nil {
			bodies = append(bodies, b)
		}
	}
	return bodies
}

func (u *upstream) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.requests)
}

// last is the last request that came to its end: one that was cut may be noted
// late, among those of the next case.
func (u *upstream) last() (*http.Request, string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := len(u.requests) - 1; i >= 0; i-- {
		if u.broken[i] == nil {
			return u.requests[i], u.bodies[i]
		}
	}
	return nil, ""
}

// gives answers with a status and a body, whole.
func gives(status int, contentType, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// streams answers with a stream in the given pieces, each flushed.
func streams(pieces ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		for _, p := range pieces {
			_, _ = io.WriteString(w, p)
			w.(http.Flusher).Flush()
		}
	}
}

// got is what a client got.
type got struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
	cut     bool // the answer did not come to its end
}

// post sends a Responses request.
func post(t testing.TB, h *filtertest.Host, body string, header ...string) got {
	t.Helper()
	return do(t, h, http.MethodPost, "/v1/responses", strings.NewReader(body), header...)
}

func do(t testing.TB, h *filtertest.Host, method, path string, body io.Reader, header ...string) got {
	t.Helper()
	r, err := http.NewRequest(method, h.URL+path, body)
	require.NoError(t, err)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return send(t, r)
}

func send(t testing.TB, r *http.Request) got {
	t.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
	defer cancel()
	resp, err := http.DefaultTransport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		require.NoError(t, ctx.Err(), "no answer within 30 s")
		return got{cut: true}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, ctx.Err(), "the answer did not end within 30 s; so far %s", b)
	return got{resp.StatusCode, resp.Header, resp.Trailer, string(b), err != nil}
}

// unsized hides a body's length, so that it is sent chunked.
func unsized(body string) io.Reader { return struct{ io.Reader }{strings.NewReader(body)} }

// errorOf reads an error in OpenAI's shape, and checks that it is one.
func errorOf(t testing.TB, body string) (e struct{ Message, Type, Param, Code string }) {
	t.Helper()
	var doc struct {
		Error map[string]any `json:"error"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &doc), "expected an error in OpenAI's shape, got %s", body)
	require.Len(t, doc.Error, 4, "expected message, type, param and code, got %s", body)
	text := func(key string) string {
		v, ok := doc.Error[key]
		require.True(t, ok, "no %s in %s", key, body)
		s, _ := v.(string)
		return s
	}
	e.Message, e.Type, e.Param, e.Code = text("message"), text("type"), text("param"), text("code")
	require.NotEmpty(t, e.Message)
	return e
}

func wait(t testing.TB, h *filtertest.Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	require.NoError(t, h.Wait(ctx))
}

// nothingIsHeld waits until the gauge, which is told four times a second, says so.
func nothingIsHeld(t testing.TB, h interface{ Gauge(name string) int64 }) {
	t.Helper()
	require.Eventually(t, func() bool { return h.Gauge("antwort.in_flight_bytes") == 0 }, 30*time.Second, time.Millisecond)
}
