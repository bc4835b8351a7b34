package server

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/shared/config"
)

// The suite runs with each way to call backends and to serve streams: make test
// runs it with all four (go test ./server -args -transport std -take-over=false).
var (
	transport = flag.String("transport", config.AutoTransport, "engine.transport of the servers under test")
	takeOver  = flag.Bool("take-over", true, "server.take_over of the servers under test")
)

// guard is how long anything may take before a test gives up waiting.
const guard = time.Minute

// slow leaves a test that takes seconds out of make quick.
func slow(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
}

// running is a server under test on a loopback port.
type running struct {
	*Server
	first  *generation
	t      *testing.T
	url    string
	addr   string
	log    *logLines
	client *http.Client
	stop   context.CancelFunc // begins draining
	done   chan error         // Serve's result
	dialed *dialed
	kept   func(*config.Config) // the store that eachStore gave
}

// start serves a configuration for the backend, as edited.
func start(t *testing.T, provider config.Provider, backend string, edit ...func(*config.Config)) *running {
	t.Helper()
	return startWith(t, Options{}, provider, backend, edit...)
}

func startWith(t *testing.T, opt Options, provider config.Provider, backend string, edit ...func(*config.Config)) *running {
	t.Helper()
	cfg := config.Default()
	cfg.Engine.Provider, cfg.Engine.BackendURL = provider, backend
	cfg.Engine.Retry.BaseDelay, cfg.Engine.Retry.MaxDelay = time.Millisecond, 1500*time.Millisecond
	cfg.Server.DrainTimeout = 0
	cfg.Engine.Transport, cfg.Server.TakeOver = *transport, *takeOver
	for _, e := range edit {
		e(cfg)
	}
	log := &logLines{}
	opt.Log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := New(cfg, opt)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Server: s, first: s.inForce.Load(), t: t, url: "http://" + ln.Addr().String(), addr: ln.Addr().String(), log: log, client: http1, stop: stop, done: make(chan error, 1), dialed: &dialed{}}
	go func() { r.done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		r.drained()
	})
	return r
}

// drained waits until Serve has returned.
func (r *running) drained() {
	r.t.Helper()
	select {
	case err := <-r.done:
		require.NoError(r.t, err)
		r.done <- nil
	case <-time.After(guard):
		r.t.Fatal("the server did not stop")
	}
}

// chain serves a frontend in front of r.
func (r *running) front(edit ...func(*config.Config)) *running {
	r.t.Helper()
	return start(r.t, config.VLLMResponses, r.url, edit...)
}

// logLines keeps a log.
type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// waitFor waits for a log line that contains all words, and returns it.
func (l *logLines) waitFor(t *testing.T, words ...string) map[string]any {
	t.Helper()
	var found map[string]any
	defer func() {
		if t.Failed() {
			t.Logf("the log:\n%s", l)
		}
	}()
	require.Eventually(t, func() bool {
	lines:
		for line := range strings.Lines(l.String()) {
			for _, w := range words {
				if !strings.Contains(line, w) {
					continue lines
				}
			}
			require.NoError(t, json.Unmarshal([]byte(line), &found))
			return true
		}
		return false
	}, guard, 5*time.Millisecond, "no log line with %q", words)
	return found
}

// mock serves a stand-in for vLLM.
func mock(t *testing.T, opt mockllm.Options) (*mockllm.Mock, string) {
	t.Helper()
	m := mockllm.New(opt)
	return m, upstreamOf(t, m)
}

// upstreamOf serves a hand-written upstream.
func upstreamOf(t *testing.T, h http.Handler) string {
	t.Helper()
	ts := httptest.NewServer(h)
	t.Cleanup(ts.Close)
	t.Cleanup(ts.CloseClientConnections)
	return ts.URL
}

// chats is an upstream that only answers chat completions; the greeting of the
// readiness check is answered here.
func chats(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"object":"list","data":[{"id":"m","object":"model"}]}`)
			return
		}
		h(w, r)
	})
}

// answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) errorCode(t *testing.T) (typ, param, code string) {
	t.Helper()
	var got map[string]map[string]*string
	require.NoError(t, json.Unmarshal([]byte(a.body), &got), "not an error body: %s", a.body)
	e := got["error"]
	require.Len(t, e, 4, "error has other members: %s", a.body)
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	require.NotEmpty(t, text(e["message"]))
	return text(e["type"]), text(e["param"]), text(e["code"])
}

// call sends a request; fields are header names and values in turn.
func (r *running) call(method, path, body string, fields ...string) answer {
	r.t.Helper()
	resp := r.open(method, path, strings.NewReader(body), fields...)
	return finish(r.t, resp)
}

func finish(t *testing.T, resp *http.Response) answer {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err, "after %s", b)
	return answer{resp.StatusCode, resp.Header, string(b)}
}

func (r *running) post(body string, fields ...string) answer {
	r.t.Helper()
	return r.call("POST", "/v1/responses", body, fields...)
}

// open sends a request and returns the answer with its body still open.
func (r *running) open(method, path string, body io.Reader, fields ...string) *http.Response {
	r.t.Helper()
	resp, err := r.do(context.Background(), method, path, body, fields...)
	require.NoError(r.t, err)
	return resp
}

func (r *running) do(ctx context.Context, method, path string, body io.Reader, fields ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.url+path, body)
	require.NoError(r.t, err)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
		if fields[i+1] == "" {
			req.Header.Del(fields[i])
		}
	}
	return r.client.Do(req)
}

var (
	http1 = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 500, DisableCompression: true}, Timeout: guard}
	http2 = func() *http.Client {
		tr := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols)}
		tr.Protocols.SetUnencryptedHTTP2(true)
		return &http.Client{Transport: tr, Timeout: guard}
	}()
)

// overHTTP2 is the same server for clients that speak HTTP/2: net/http keeps
// their streams.
func (r *running) overHTTP2() *running {
	other := *r //nolint:govet // the copy shares all but the client
	other.client = http2
	r.t.Cleanup(http2.CloseIdleConnections) // or draining waits for them
	return &other
}

func ready(t *testing.T, r *running) {
	t.Helper()
	require.Eventually(t, r.dispatcher.Contacted, guard, time.Millisecond)
}
