package gateway_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/checkout"
	"antwort/e2e/envoy/gateway"
)

func TestStartFails(t *testing.T) {
	const good = "server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm, backend_url: \"http://127.0.0.1:1\"}\n"
	for name, c := range map[string]struct {
		config, env string
		code        int
		problem     string
	}{
		"wrong key":       {good + "filter: {profil: gated}\n", "", 2, "antwort.yaml:3:10: filter.profil: unknown key"},
		"wrong value":     {good + "filter: {profile: open}\n", "", 2, "antwort.yaml:3:10: filter.profile: "},
		"no provider":     {"server: {port: 0}\n", "", 2, "engine.provider: "},
		"missing secret":  {strings.Replace(good, "}\n", "}\n", 1) + "", "ANTWORT_API_KEY_FILE=/nowhere/key", 2, "engine.api_key_file: "},
		"no such Envoy":   {good, "ENVOY=/nowhere/envoy", 2, "/nowhere/envoy"},
		"not an Envoy":    {good, "ENVOY=/bin/true", 2, "/bin/true is no Envoy"},
		"name to bind to": {strings.Replace(good, "127.0.0.1,", "gateway,", 1), "", 2, "server.host: Envoy listens on IP addresses only"},
	} {
		t.Run(name, func(t *testing.T) {
			g := gateway.Start(t, c.config, c.env)
			require.Equal(t, c.code, g.Wait())
			g.Logged(1, c.problem)
		})
	}
}

func TestNoEnvoyAnywhere(t *testing.T) {
	file := t.TempDir() + "/antwort.yaml"
	require.NoError(t, os.WriteFile(file, []byte("engine: {provider: vllm, backend_url: \"http://127.0.0.1:1\"}\n"), 0o600))
	cmd := exec.Command(checkout.Antwort(t), "envoy", "--config", file)
	cmd.Env = []string{"PATH=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, 2, cmd.ProcessState.ExitCode())
	assert.Contains(t, string(out), "there is no envoy on the PATH")
	assert.Contains(t, string(out), "make envoy")
}

// The two processes do not outlive each other. Neither has to serve for that.
func TestProcessesEndTogether(t *testing.T) {
	config := fmt.Sprintf("server: {host: 127.0.0.1, port: %d}\nengine: {provider: vllm, backend_url: \"http://127.0.0.1:1\"}\n", gateway.FreePort(t))
	t.Run("Envoy is killed", func(t *testing.T) {
		g := gateway.Start(t, config)
		require.NoError(t, syscall.Kill(child(t, g), syscall.SIGKILL))
		assert.Equal(t, 1, g.Wait())
		g.Logged(1, "envoy ended by itself (signal: killed)")
	})
	t.Run("antwort is killed", func(t *testing.T) {
		g := gateway.Start(t, config)
		pid := child(t, g)
		g.Signal(syscall.SIGKILL)
		assert.Eventually(t, func() bool { return gone(pid) }, 10*time.Second, 10*time.Millisecond, "Envoy must end with antwort")
	})
	t.Run("SIGTERM before it serves", func(t *testing.T) {
		g := gateway.Start(t, config)
		child(t, g)
		g.Signal(syscall.SIGTERM)
		assert.Zero(t, g.Wait())
	})
}

// child waits for Envoy's process and returns its id.
func child(t *testing.T, g *gateway.Gateway) int {
	t.Helper()
	var pid int
	require.Eventually(t, func() bool { pid = g.Envoy(); return pid != 0 }, 10*time.Second, 10*time.Millisecond, "there is no child")
	return pid
}

// gone reports whether the process has ended, reaped or not.
func gone(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(text), ") Z ")
}
