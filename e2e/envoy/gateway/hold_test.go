package gateway_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
)

// Small bodies that become large ones, as many as a client likes: the streams of
// others go on, and Envoy stays within the quickstart's limit of memory.
func TestCompressedBodiesAreBounded(t *testing.T) {
	for _, provider := range []string{"vllm", "vllm-responses"} {
		for _, profile := range []string{"inline", "gated"} {
			t.Run(provider+"/"+profile, func(t *testing.T) {
				release := make(chan struct{})
				up := httptest.NewServer(modelServer(release))
				defer up.Close()
				g := gateway.Start(t, fmt.Sprintf(`
server: {host: 127.0.0.1, port: 0, drain_timeout: 1s}
engine: {provider: %s, backend_url: %q, default_model: m}
filter: {profile: %s}
`, provider, up.URL, profile)).Ready()
				// One that waits for its end on each worker, likely.
				streams := make([]chan string, 8)
				for i := range streams {
					streams[i] = make(chan string, 1)
					resp, err := http.Post(g.URL+"/v1/responses", "application/json", strings.NewReader(`{"model":"m","input":"hi","stream":true}`))
					require.NoError(t, err)
					require.Equal(t, 200, resp.StatusCode)
					go func() {
						defer resp.Body.Close()
						text, err := io.ReadAll(resp.Body)
						streams[i] <- fmt.Sprint(string(text), err)
					}()
				}
				for name, body := range map[string]string{
					"small objects": `{"model":"m","input":"a","x":[` + strings.Repeat(`{"a":0},`, 29<<17) + `0]}`,
					"text":          `{"model":"m","input":"` + strings.Repeat("word ", 6<<20) + `"}`,
					"mixed text":    `{"model":"m","input":"` + mixed(28<<10) + `"}`, // is not over Envoy's hundredfold
				} {
					packed := packed(t, body)
					var all sync.WaitGroup
					for range 24 {
						all.Go(func() {
							r, err := http.NewRequest("POST", g.URL+"/v1/responses", bytes.NewReader(packed))
							if !assert.NoError(t, err) {
								return
							}
							r.Header.Set("Content-Type", "application/json")
							r.Header.Set("Content-Encoding", "gzip")
							resp, err := http.DefaultTransport.RoundTrip(r)
							if err == nil { // it may have been answered before it was sent
								_, _ = io.Copy(io.Discard, resp.Body)
								resp.Body.Close()
								assert.Contains(t, []int{200, 400, 413, 503}, resp.StatusCode)
							}
						})
					}
					all.Wait()
					memory := resident(t, g.Envoy())
					t.Logf("%s, %d bytes of %d: memory of Envoy %d MB", name, len(packed), len(body), memory>>20)
					require.Less(t, memory, 1<<30, "more than the quickstart's limit")
				}
				require.Equal(t, http.StatusOK, post(t, g.URL+"/v1/responses", `{"model":"m","input":"a"}`).status)
				close(release)
				for _, ended := range streams {
					select {
					case text := <-ended:
						require.Contains(t, text, "<nil>", "a stream was cut")
					case <-time.After(time.Minute):
						t.Fatal("a stream does not end")
					}
				}
				for _, line := range g.Log() {
					require.NotContains(t, line, "antwort: panic")
					require.NotContains(t, line, "Function: proxy_on", "a VM has died")
				}
			})
		}
	}
}

// Answers that repeat what is long in their requests, and that nobody reads: Envoy holds them
// when the filter has long been done with them, and gets rid of them before it is full.
func TestAnswersThatNobodyReadsAreBounded(t *testing.T) {
	up := httptest.NewServer(modelServer(nil))
	defer up.Close()
	g := gateway.Start(t, fmt.Sprintf(`
server: {host: 127.0.0.1, port: 0, drain_timeout: 1s}
engine: {provider: vllm, backend_url: %q}
`, up.URL)).Ready()
	body := `{"model":"m","input":"a","tools":[{"type":"function","name":"f","parameters":{"type":"object","x":[` + strings.Repeat(`"`+strings.Repeat("a", 3000)+`",`, 9_600) + `0]}}]}`
	ask := fmt.Sprintf("POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
	answered, most := 0, 0
	for end := time.Now().Add(time.Minute); answered < 20 && time.Now().Before(end); {
		c, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
		require.NoError(t, err)
		defer c.Close()
		go func() { _, _ = io.WriteString(c, ask+body) }()
		status := make([]byte, len("HTTP/1.1 200"))
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.ReadFull(c, status); err == nil && string(status) == "HTTP/1.1 200" {
			answered++
		} else {
			time.Sleep(100 * time.Millisecond) // there is no room
		}
		most = max(most, resident(t, g.Envoy()))
	}
	t.Logf("%d answers of 29 MB: memory of Envoy %d MB at most", answered, most>>20)
	require.Equal(t, 20, answered)
	require.Less(t, most, 1<<30, "more than the quickstart's limit")
	require.Eventually(t, func() bool {
		return post(t, g.URL+"/v1/responses", `{"model":"m","input":"a"}`).status == http.StatusOK
	}, 30*time.Second, 100*time.Millisecond)
}

// modelServer speaks both APIs. A stream ends when it is told to.
func modelServer(release chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		whole, first, last := `{"object":"response","output":[]}`, `{"type":"response.created","response":{}}`, `{"type":"response.completed","response":{}}`
		if r.URL.Path == "/v1/chat/completions" {
			whole, first, last = `{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}`, `{"choices":[{"index":0,"delta":{"content":"hi"}}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
		}
		if !bytes.Contains(body, []byte(`"stream":true`)) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, whole)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: %s\n\n", first)
		w.(http.Flusher).Flush()
		select {
		case <-release:
			fmt.Fprintf(w, "data: %s\n\ndata: [DONE]\n\n", last)
		case <-r.Context().Done():
		}
	}
}

// mixed is n KiB of text that becomes some forty times smaller.
func mixed(n int) string {
	var b strings.Builder
	for range n {
		fmt.Fprintf(&b, "%016x%016x", rand.Uint64(), rand.Uint64())
		b.WriteString(strings.Repeat("word ", 198) + "x ")
	}
	return b.String()
}

func packed(t *testing.T, body string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	require.NoError(t, err)
	_, err = io.WriteString(w, body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// resident is a process's memory in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	require.NoError(t, err)
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	require.NoError(t, err)
	return pages * os.Getpagesize()
}
