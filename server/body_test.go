package server

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/shared/config"
)

func gzipped(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, s)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func zstandard(t *testing.T, s string, opt ...zstd.EOption) string {
	t.Helper()
	w, err := zstd.NewWriter(nil, opt...)
	require.NoError(t, err)
	return string(w.EncodeAll([]byte(s), nil))
}

func TestCompressedBodies(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	limits := func(c *config.Config) {
		c.Limits.RequestBodyBytes, c.Limits.DecodedBodyBytes = 64<<10, 256<<10
	}
	back := start(t, config.VLLM, llm, limits)
	front := back.front(limits)
	question := `{"model":"/mnt/models","input":"What is the capital of France?"`
	padded := func(n int) string { return question + `,"metadata":{}` + strings.Repeat(" ", n) + "}" }
	asStream := question + `,"stream":true}`
	var window bytes.Buffer
	w, err := zstd.NewWriter(&window, zstd.WithWindowSize(64<<20))
	require.NoError(t, err)
	_, err = w.Write([]byte(padded(10)))
	require.NoError(t, err)
	require.NoError(t, w.Flush()) // an unknown size makes the frame declare its window
	_, err = w.Write([]byte(" "))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	for _, c := range []struct {
		name, coding, body string
		status             int
		want               string
	}{
		{"gzip", "gzip", gzipped(t, padded(100)), 200, "Paris"},
		{"x-gzip", "x-gzip", gzipped(t, padded(100)), 200, "Paris"},
		{"zstd", "zstd", zstandard(t, padded(100)), 200, "Paris"},
		{"identity", "identity", padded(100), 200, "Paris"},
		{"upper case", "GZIP", gzipped(t, padded(100)), 200, "Paris"},
		{"two gzip members", "gzip", gzipped(t, question) + gzipped(t, "}"), 200, "Paris"},
		{"two zstd frames", "zstd", zstandard(t, question) + zstandard(t, "}"), 200, "Paris"},
		{"streamed gzip", "gzip", gzipped(t, asStream), 200, "response.completed"},
		{"streamed zstd", "zstd", zstandard(t, asStream), 200, "response.completed"},
		{"just within the limit", "gzip", gzipped(t, padded(256<<10-len(padded(0)))), 200, "Paris"},
		{"gzip bomb", "gzip", gzipped(t, padded(10<<20)), 413, "decompressed"},
		{"zstd bomb", "zstd", zstandard(t, padded(10<<20)), 413, "decompressed"},
		{"zstd window", "zstd", window.String(), 413, "window"},
		{"cut gzip", "gzip", gzipped(t, padded(100))[:40], 400, "not valid gzip"},
		{"cut zstd", "zstd", zstandard(t, padded(100))[:40], 400, "not valid zstd"},
		{"garbage after gzip", "gzip", gzipped(t, padded(1)) + "garbage", 400, "not valid gzip"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []*running{back, front} {
				got := r.post(c.body, "Content-Encoding", c.coding)
				require.Equal(t, c.status, got.status, got.body)
				require.Contains(t, got.body, c.want)
				if c.status != 200 {
					typ, _, _ := got.errorCode(t)
					require.Equal(t, "invalid_request_error", typ)
				}
			}
		})
	}
}

// A body without a declared length is counted while it comes.
func TestBodyOverTheLimitWhileStreaming(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	limit := func(c *config.Config) { c.Limits.RequestBodyBytes = 200 << 10 }
	back := start(t, config.VLLM, llm)
	for _, r := range []*running{start(t, config.VLLM, llm, limit), back.front(limit)} {
		body := io.MultiReader(strings.NewReader(`{"model":"/mnt/models","input":"`), io.LimitReader(endless{}, 1<<20))
		resp, err := r.do(t.Context(), "POST", "/v1/responses", body)
		if err != nil {
			continue // the answer was lost with the connection: the client was still sending
		}
		got := finish(t, resp)
		require.Equal(t, 413, got.status, got.body)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// Large bodies reach the backend whole, with and without a length.
func TestLargeBodies(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	back := start(t, config.VLLM, llm)
	front := back.front()
	text := strings.Repeat("0123456789", 100_000)
	body := `{"model":"/mnt/models","input":"` + text + `"}`
	for _, r := range []*running{back, front} {
		direct := r.post(body)
		require.Equal(t, 200, direct.status)
		require.Contains(t, direct.body, text[:1000])
		resp := r.open("POST", "/v1/responses", io.MultiReader(strings.NewReader(body))) // no length
		chunked := finish(t, resp)
		require.Equal(t, 200, chunked.status)
		require.Len(t, chunked.body, len(direct.body))
	}
}

// A client that sends its body too slowly is cut off.
func TestSlowBodies(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	slow := func(c *config.Config) { c.Server.ReadTimeout = 50 * time.Millisecond }
	back := start(t, config.VLLM, llm, slow)
	for _, r := range []*running{back, back.front(slow)} {
		conn, err := net.Dial("tcp", r.addr)
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(guard)))
		got, err := io.ReadAll(conn) // the connection is closed too
		require.NoError(t, err)
		require.Contains(t, string(got), "HTTP/1.1 408 ")
		require.Contains(t, string(got), `"code":"request_timeout"`)
	}
}

// The time for the body does not count for the answer.
func TestReadTimeoutDoesNotCutAnswers(t *testing.T) {
	release := make(chan struct{})
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		<-release
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, chatWhole)
	}))
	r := start(t, config.VLLM, llm, func(c *config.Config) { c.Server.ReadTimeout = 20 * time.Millisecond })
	time.AfterFunc(100*time.Millisecond, func() { close(release) })
	got := r.post(ask)
	require.Equal(t, 200, got.status, got.body)
}
