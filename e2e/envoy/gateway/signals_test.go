package gateway_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
)

const signalled = `
server: {host: 127.0.0.1, port: 0}
engine: {provider: vllm-responses, backend_url: %q, api_key_env: BACKEND_KEY}
`

// Signals cut no stream before drain_timeout, and the folder with the secrets
// does not outlive the process.
func TestSignals(t *testing.T) {
	u := newUpstream(t, "a")
	config := fmt.Sprintf(signalled, u.URL)
	g := gateway.Start(t, config, "BACKEND_KEY=top-secret").Ready()

	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", g.Envoy()))
	require.NoError(t, err)
	assert.NotContains(t, string(environ), "top-secret", "Envoy has the key from its file")

	client := newClient(t)
	s := openStream(t, client, g.URL, "x")
	requests := u.requests()
	assert.Equal(t, "Bearer top-secret", requests[len(requests)-1].Header.Get("Authorization"))

	g.Signal(syscall.SIGHUP)
	g.Logged(1, "the configuration is the one in force")
	g.Write(config + "limits: {tools: 3}\n")
	g.Signal(syscall.SIGHUP)
	g.Logged(1, "the changed configuration is in force")
	for _, ignored := range []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE, syscall.SIGALRM} {
		g.Signal(ignored)
	}
	assert.Equal(t, http.StatusOK, get(t, g.URL+"/health").status)

	g.Signal(syscall.SIGQUIT)
	g.Logged(1, `"msg":"draining"`)
	u.finish()
	assert.Empty(t, s.end(), "a stream must not notice the signals")
	assert.Zero(t, g.Wait())
	assert.Empty(t, folders(t, g.Temp))
}

// What nothing can catch leaves the folder; the next start removes it, and none of
// a gateway that runs.
func TestFolderOfAKilledGateway(t *testing.T) {
	config := fmt.Sprintf(signalled, "http://127.0.0.1:1")
	killed := gateway.Start(t, config, "BACKEND_KEY=top-secret")
	child(t, killed)
	left := folders(t, killed.Temp)
	require.Len(t, left, 1)
	killed.Signal(syscall.SIGKILL)
	killed.Wait()
	require.Equal(t, left, folders(t, killed.Temp))

	first := gateway.Start(t, config, "BACKEND_KEY=top-secret", "TMPDIR="+killed.Temp)
	child(t, first)
	running := folders(t, killed.Temp)
	require.Len(t, running, 1)
	require.NotEqual(t, left, running)
	second := gateway.Start(t, config, "BACKEND_KEY=top-secret", "TMPDIR="+killed.Temp)
	child(t, second)
	assert.Len(t, folders(t, killed.Temp), 2)
	for _, end := range []struct {
		g    *gateway.Gateway
		send []syscall.Signal
	}{{first, []syscall.Signal{syscall.SIGABRT}}, {second, []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}}} {
		for _, s := range end.send {
			end.g.Signal(s)
		}
		assert.Zero(t, end.g.Wait())
	}
	assert.Empty(t, folders(t, killed.Temp))
}

func folders(t *testing.T, temp string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(temp, "antwort-envoy-*"))
	require.NoError(t, err)
	return all
}
