package cli

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// TestMain is the tests, or antwort itself for a test that needs a process.
func TestMain(m *testing.M) {
	if os.Getenv("ANTWORT_TEST_MAIN") != "" {
		_ = os.Unsetenv("ANTWORT_TEST_MAIN")
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		os.Exit(Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// mostMemory is four fifths of what quickstart 06 gives the backend's pod.
const mostMemory = 1 << 30 * 8 / 10

// Bodies that become a thousand times as large, many at once: the process stays
// within the memory of its pod, says so to who asks for too much, and serves the
// others.
func TestMemoryOfManyLargeBodies(t *testing.T) {
	if runtime.GOOS != "linux" || raceDetector {
		t.Skip("the memory of a process is read from /proc, and without the race detector")
	}
	goOn := make(chan struct{})
	llm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if n > 1<<20 {
			<-goOn
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}`)
	}))
	defer llm.Close()
	p := startProcess(t, llm.URL)
	for name, body := range largeBodies(t) {
		t.Run(name, func(t *testing.T) {
			goOn = make(chan struct{})
			statuses := make(map[int]int)
			var mu sync.Mutex
			var large sync.WaitGroup
			for range 24 {
				large.Go(func() {
					resp := p.post(t, body.wire, body.coding)
					defer resp.Body.Close()
					_, _ = io.Copy(io.Discard, resp.Body)
					mu.Lock()
					defer mu.Unlock()
					if statuses[resp.StatusCode]++; resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
						t.Error("no Retry-After")
					}
				})
			}
			for range 200 {
				resp := p.post(t, []byte(`{"model":"m","input":"hi"}`), "")
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				require.Equal(t, 200, resp.StatusCode, "a small request")
			}
			close(goOn)
			large.Wait()
			t.Logf("%v, at most %d MiB so far", statuses, p.peak(t)>>20)
			require.NotZero(t, statuses[200], "none is served: %v", statuses)
			require.Equal(t, 24, statuses[200]+statuses[503], "%v", statuses)
			require.Less(t, p.peak(t), mostMemory)
			require.Eventually(t, func() bool { return strings.Contains(p.metrics(t), "antwort_in_flight_bytes{provider=\"vllm\"} 0\n") }, time.Minute, 10*time.Millisecond)
		})
	}
	require.Regexp(t, `antwort_failures_total{kind="overloaded",provider="vllm"} [1-9]`, p.metrics(t))
}

type largeBody struct {
	wire   []byte
	coding string
}

func largeBodies(t *testing.T) map[string]largeBody {
	text := func(n int) []byte {
		return []byte(`{"model":"m","input":"` + strings.Repeat("a", n) + `"}`)
	}
	values := []byte(`{"model":"m","metadata":{"a":"b"},"input":[` + strings.Repeat(`{"role":"user","content":"`+strings.Repeat("x", 6000)+`"},`, 9999) + `{"role":"user","content":"x"}]}`)
	var gz, gzValues, zs bytes.Buffer
	for to, from := range map[*bytes.Buffer][]byte{&gz: text(62 << 20), &gzValues: values} {
		w, err := gzip.NewWriterLevel(to, gzip.BestCompression)
		require.NoError(t, err)
		_, err = w.Write(from)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	z, err := zstd.NewWriter(&zs, zstd.WithWindowSize(8<<20))
	require.NoError(t, err)
	_, err = z.Write(text(62 << 20))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return map[string]largeBody{
		"gzip, one text":      {gz.Bytes(), "gzip"},
		"gzip, many messages": {gzValues.Bytes(), "gzip"},
		"zstd":                {zs.Bytes(), "zstd"},
		"plain":               {text(31 << 20), ""},
	}
}

// runningProcess is antwort serve in a process of its own.
type served struct {
	cmd *exec.Cmd
	url string
}

func startProcess(t *testing.T, backend string) *served {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := ln.Addr().(*net.TCPAddr)
	require.NoError(t, ln.Close())
	file := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "server: {host: 127.0.0.1, port: %d, drain_timeout: 0s}\nengine: {provider: vllm, backend_url: %q}\n", addr.Port, backend), 0o600))
	p := &served{cmd: exec.Command(os.Args[0], "serve", "--config", file), url: "http://" + addr.String()}
	p.cmd.Env = append(os.Environ(), "ANTWORT_TEST_MAIN=1", "GOMEMLIMIT=900MiB")
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		_ = p.cmd.Wait()
	})
	require.Eventually(t, func() bool {
		resp, err := http.Get(p.url + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	return p
}

func (p *served) post(t *testing.T, body []byte, coding string) *http.Response {
	req, err := http.NewRequest(http.MethodPost, p.url+"/v1/responses", bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	if coding != "" {
		req.Header.Set("Content-Encoding", coding)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	return resp
}

func (p *served) metrics(t *testing.T) string {
	resp, err := http.Get(p.url + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(text)
}

// peak is the most memory that the process has had, in bytes.
func (p *served) peak(t *testing.T) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(t, err)
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, found)
	kib, err := strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	return kib << 10
}
