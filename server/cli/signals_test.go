//go:build unix

package cli

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// SIGHUP asks for the configuration to be read again: it ends nothing.
func TestSignalsToServe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "antwort.yaml")
	write := func(more string) {
		text := fmt.Sprintf("server: {host: 127.0.0.1, port: 0, drain_timeout: 0s}\nengine: {provider: vllm, backend_url: \"http://127.0.0.1:1\"}\n%s", more)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	write("")
	address, log, exited := serve(t, t.Context(), "--config", file)
	logged := func(words string) string {
		for line := range log {
			if strings.Contains(line, words) {
				return line
			}
		}
		t.Fatalf("no line with %q in the log", words)
		return ""
	}
	send := func(s syscall.Signal) { require.NoError(t, syscall.Kill(os.Getpid(), s)) }

	send(syscall.SIGHUP)
	logged("the configuration is the one in force")
	write("observability: {log: {level: warn}, metrics: {path: /internal}}\n")
	send(syscall.SIGHUP)
	assert.Contains(t, logged("the changed configuration is in force"), `"restart":"observability.log.level"`)
	resp, err := http.Get("http://" + address + "/internal")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusOK, resp.StatusCode)

	send(syscall.SIGQUIT)
	logged("stopped")
	require.Equal(t, exitOK, <-exited)
}
