package gateway_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
)

// The route for what the filter makes of requests comes with the provider vllm. A
// connection that was there before, and has the filters of then, is no way to it.
func TestProviderChanges(t *testing.T) {
	const config = "server: {host: 127.0.0.1, port: 0}\nengine: {provider: %s, backend_url: %q}\n"
	u := newUpstream(t, "a")
	g := gateway.Start(t, fmt.Sprintf(config, "vllm-responses", u.URL)).Ready()
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	answers := bufio.NewReader(conn)
	ask := func() (status int, open bool) {
		require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		if _, err := fmt.Fprint(conn, "GET /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\n\r\n"); err != nil {
			return 0, false
		}
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			return 0, false
		}
		read(t, resp, nil)
		return resp.StatusCode, !resp.Close
	}
	status, open := ask()
	require.Equal(t, http.StatusNotFound, status)
	require.True(t, open, "the connection must outlive the question")
	g.Write(fmt.Sprintf(config, "vllm", u.URL))
	for range time.Tick(5 * time.Millisecond) {
		if !open {
			break
		}
		if status, open = ask(); status != 0 {
			require.Equal(t, http.StatusNotFound, status)
		}
	}
	g.Logged(1, "the changed configuration is in force")
	for _, r := range u.requests() {
		assert.NotContains(t, r.URL.Path, "chat", "a client's request reached the backend's Chat Completions")
	}
}
