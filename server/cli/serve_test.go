package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestServeUntilTheSignal(t *testing.T) {
	t.Setenv("ANTWORT_PROVIDER", "vllm")
	t.Setenv("ANTWORT_BACKEND_URL", "http://127.0.0.1:1")
	t.Setenv("ANTWORT_HOST", "127.0.0.1")
	t.Setenv("ANTWORT_PORT", "0")
	port := freePort(t)
	t.Setenv("ANTWORT_ADMIN_PORT", port)
	ctx, signal := context.WithCancel(t.Context())
	address, _, exited := serve(t, ctx)
	status := func(url string) int {
		resp, err := http.Get(url)
		require.NoError(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	require.Equal(t, http.StatusOK, status("http://"+address+"/healthz"))
	require.Equal(t, http.StatusNotFound, status("http://"+address+"/metrics"))
	require.Equal(t, http.StatusOK, status("http://127.0.0.1:"+port+"/metrics"))
	signal()
	require.Equal(t, exitOK, <-exited)
	for _, address := range []string{address, "127.0.0.1:" + port} {
		c, err := net.Dial("tcp", address)
		if err == nil && c.LocalAddr().String() == address {
			c.Close()
			continue // it has met itself: a dial may begin at any free port
		}
		require.Error(t, err, "somebody still listens at %s", address)
	}
}

// serve runs antwort serve and returns its address, the lines of its log that
// come after that, and its exit code once it has ended.
func serve(t *testing.T, ctx context.Context, args ...string) (address string, log <-chan string, exited <-chan int) {
	out, stderr := io.Pipe()
	code, after := make(chan int, 1), make(chan string, 100)
	go func() {
		code <- Main(ctx, append([]string{"serve"}, args...), strings.NewReader(""), io.Discard, stderr)
		stderr.Close()
	}()
	lines := bufio.NewScanner(out)
	for address == "" {
		require.True(t, lines.Scan(), "no address in the log")
		var line struct{ Msg, Address string }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line), "not JSON: %s", lines.Text())
		if line.Msg == "listening" {
			address = line.Address
		}
	}
	go func() {
		defer close(after)
		for lines.Scan() {
			after <- lines.Text()
		}
	}()
	return address, after, code
}

// freePort is a port that nobody listens on, and that no dial takes meanwhile: it is below
// those that the system gives by itself.
func freePort(t *testing.T) string {
	for range 100 {
		port := strconv.Itoa(10_000 + rand.IntN(20_000))
		if ln, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			require.NoError(t, ln.Close())
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

func TestServeThatCannotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	require.NoError(t, err)
	t.Setenv("ANTWORT_HOST", "127.0.0.1")
	t.Setenv("ANTWORT_PROVIDER", "vllm")

	code, _, stderr := run(t, "serve")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, stderr, "engine.backend_url")

	t.Setenv("ANTWORT_BACKEND_URL", "http://127.0.0.1:1")
	t.Setenv("ANTWORT_PORT", port)
	code, _, stderr = run(t, "serve")
	assert.Equal(t, exitRun, code)
	assert.Contains(t, stderr, "server.host, server.port: cannot listen on 127.0.0.1:"+port)

	t.Setenv("ANTWORT_PORT", "0")
	t.Setenv("ANTWORT_ADMIN_PORT", port)
	code, _, stderr = run(t, "serve")
	assert.Equal(t, exitRun, code)
	assert.Contains(t, stderr, "server.admin.host, server.admin.port: cannot listen on 127.0.0.1:"+port)
}
