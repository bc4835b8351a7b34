package cli

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
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

	"antwort/shared/config"
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

// testKey is what callers have.
const testKey = "sk-0123456789abcdef0123456789abcdef"

// mostMemory is four fifths of what quickstart 06 gives the backend's pod.
const mostMemory = 1 << 30 * 8 / 10

// Bodies that become a thousand times as large, many at once: the process stays
// within the memory of its pod, says so to who asks for too much, and serves the
// others; also where bodies are only read for what they ask for, and passed on.
func TestMemoryOfManyLargeBodies(t *testing.T) {
	measures(t)
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		t.Run(string(provider), func(t *testing.T) { manyLargeBodies(t, provider) })
	}
}

// measures skips a test that measures the memory of a process where that is not
// possible.
func measures(t *testing.T) {
	if runtime.GOOS != "linux" || raceDetector {
		t.Skip("the memory of a process is read from /proc, and without the race detector")
	}
	if testing.Short() {
		t.Skip("takes seconds")
	}
}

func manyLargeBodies(t *testing.T, provider config.Provider) {
	goOn := make(chan struct{})
	llm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if n > 1<<20 {
			<-goOn
		}
		w.Header().Set("Content-Type", "application/json")
		if provider == config.VLLMResponses {
			_, _ = io.WriteString(w, `{"id":"resp_1","object":"response","status":"completed","model":"m","output":[],"usage":null}`)
			return
		}
		_, _ = io.WriteString(w, `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}`)
	}))
	defer llm.Close()
	more := ""
	if provider == config.VLLMResponses { // the body has the model that the key must have
		more = "auth: {type: api_key, api_keys: [{key_env: TEST_KEY, subject: alice, models: [m]}]}\n"
	}
	p := startProcess(t, llm.URL, provider, more)
	for name, body := range largeBodies(t) {
		if provider == config.VLLMResponses && body.coding != "" {
			continue // they are not read there
		}
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
			require.Eventually(t, func() bool {
				return strings.Contains(p.metrics(t), "antwort_in_flight_bytes{provider=\""+string(provider)+"\"} 0\n")
			}, time.Minute, 10*time.Millisecond)
		})
	}
	require.Regexp(t, `antwort_failures_total{kind="overloaded",provider="`+string(provider)+`"} [1-9]`, p.metrics(t))
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

// Long streamed answers, many at once: the process stays within the memory of its pod.
// Each is complete or is said to have failed.
func TestMemoryOfManyLongStreams(t *testing.T) {
	measures(t)
	llm := longAnswer(14 << 20)
	defer llm.Close()
	for state, all := range map[string]bool{"auto": false, "none": true} {
		t.Run("state "+state, func(t *testing.T) {
			const n = 16
			p := startProcess(t, llm.URL, config.VLLM, "state: {type: "+state+"}\n")
			ends := make(chan string, n)
			for range n {
				go func() { ends <- p.stream() }()
			}
			ended := make(map[string]int)
			for range n {
				ended[<-ends]++
			}
			t.Logf("%v, at most %d MiB", ended, p.peak(t)>>20)
			require.NotZero(t, ended["response.completed"], "%v", ended)
			require.Equal(t, n, ended["response.completed"]+ended["overloaded"], "%v", ended)
			if all {
				require.Equal(t, n, ended["response.completed"], "they are charged for more than they hold")
			}
			require.Less(t, p.peak(t), mostMemory)
			require.Eventually(t, func() bool { return strings.Contains(p.metrics(t), "antwort_in_flight_bytes{provider=\"vllm\"} 0\n") }, time.Minute, 10*time.Millisecond)
		})
	}
}

// One long streamed answer takes at most three times what it says, and once more what a
// store in memory keeps of it.
func TestMemoryOfALongStream(t *testing.T) {
	measures(t)
	const said = 56 << 20
	llm := longAnswer(said)
	defer llm.Close()
	for state, most := range map[string]int{"none": 3 * said, "auto": 4 * said} {
		t.Run("state "+state, func(t *testing.T) {
			p := startProcess(t, llm.URL, config.VLLM, "limits: {response_body_bytes: 64MiB}\nstate: {type: "+state+"}\n")
			before := p.peak(t)
			require.Equal(t, "response.completed", p.stream())
			took := p.peak(t) - before
			t.Logf("%.2f × what is said", float64(took)/said)
			require.Greater(t, took, said/2, "it is not held at all")
			require.Less(t, took, most)
		})
	}
}

// longAnswer is a model server that streams an answer of so many bytes.
func longAnswer(bytes int) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		const piece = 4 << 10
		chunk := []byte(`data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("word ", piece/5+1)[:piece] + `"}}]}` + "\n\n")
		for range bytes / piece {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
	}))
}

// stream asks for a stream and returns how it ended: its terminal event, or the code of
// its failure.
func (p *served) stream() string {
	resp, err := http.Post(p.url+"/v1/responses", "application/json", strings.NewReader(`{"model":"m","input":"hi","stream":true}`))
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	const tail = 4 << 10 // what is kept of what came before
	var last []byte
	in, terminal := make([]byte, 64<<10), ""
	for err == nil {
		var n int
		n, err = resp.Body.Read(in)
		last = append(last[max(0, len(last)-tail):], in[:n]...)
		switch {
		case bytes.Contains(last, []byte("event: response.completed\n")):
			terminal = "response.completed"
		case bytes.Contains(last, []byte(`"code":"overloaded"`)):
			terminal = "overloaded"
		}
	}
	if err != io.EOF {
		return err.Error()
	}
	if resp.StatusCode == http.StatusOK && !bytes.HasSuffix(last, []byte("data: [DONE]\n\n")) {
		return "it has no end"
	}
	return terminal
}

// served is antwort serve in a process of its own.
type served struct {
	cmd *exec.Cmd
	url string
}

// startProcess starts it with more lines of configuration.
func startProcess(t *testing.T, backend string, provider config.Provider, more string) *served {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "server: {host: 127.0.0.1, port: 0, drain_timeout: 0s}\nengine: {provider: %s, backend_url: %q}\n%s", provider, backend, more), 0o600))
	p := &served{cmd: exec.Command(os.Args[0], "serve", "--config", file)}
	p.cmd.Env = append(os.Environ(), "ANTWORT_TEST_MAIN=1", "GOMEMLIMIT=900MiB", "TEST_KEY="+testKey)
	said, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		_ = p.cmd.Wait()
	})
	address := make(chan string, 1)
	go func() {
		defer close(ended)
		defer close(address)
		for lines := bufio.NewScanner(said); lines.Scan(); {
			var line struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
				address <- line.Address
			}
		}
	}()
	at, listens := <-address
	require.True(t, listens, "it ended before it listened")
	p.url = "http://" + at
	return p
}

func (p *served) post(t *testing.T, body []byte, coding string) *http.Response {
	req, err := http.NewRequest(http.MethodPost, p.url+"/v1/responses", bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+testKey)
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
