package envoyrun

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"antwort/shared/config"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func options(t *testing.T, script string) Options {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	return Options{
		Binary: program(t, "envoy", script), Module: []byte("\x00asm"), Workers: 1,
		Log: slog.New(slog.DiscardHandler), Output: io.Discard,
	}
}

func parse(t *testing.T, json string) *config.Config {
	t.Helper()
	c, err := config.Parse([]byte(json))
	require.NoError(t, err)
	return c
}

const minimal = `{"server":{"host":"127.0.0.1","port":0},"engine":{"provider":"vllm","backend_url":"http://127.0.0.1:1"}}`

func TestChildThatEndsIsAnError(t *testing.T) {
	opt := options(t, "echo 'critical main cannot start' >&2; exit 7")
	err := Run(t.Context(), parse(t, minimal), opt)
	require.ErrorContains(t, err, "envoy ended by itself (exit status 7)")
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "antwort-envoy-*"))
	require.NoError(t, err)
	assert.Empty(t, left, "the temporary folder must be gone")
}

func TestEndBeforeEnvoyServes(t *testing.T) {
	opt := options(t, "trap 'exit 0' TERM; echo started; while :; do sleep 0.01; done")
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	opt.Output = in
	go func() {
		_, _ = out.Read(make([]byte, 64)) // the child runs
		cancel()
		_, _ = io.Copy(io.Discard, out)
	}()
	begin := time.Now()
	require.NoError(t, Run(ctx, parse(t, minimal), opt))
	assert.Less(t, time.Since(begin), stopTime)
}

// The second signal waits for nothing, and leaves nothing behind.
func TestCutBeforeEnvoyEnds(t *testing.T) {
	opt := options(t, "trap '' TERM; echo started; while :; do sleep 0.01; done")
	ctx, end := context.WithCancel(t.Context())
	var cut context.CancelFunc
	opt.Cut, cut = context.WithCancel(t.Context())
	out, in := io.Pipe()
	opt.Output = in
	go func() {
		_, _ = out.Read(make([]byte, 64)) // the child runs
		end()
		cut()
		_, _ = io.Copy(io.Discard, out)
	}()
	var log bytes.Buffer
	opt.Log = slog.New(slog.NewTextHandler(&log, nil))
	require.NoError(t, Run(ctx, parse(t, minimal), opt))
	assert.NotContains(t, log.String(), "does not end", "it has waited")
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	assert.NotContains(t, fmt.Sprint(left), folderPrefix)
}

// Envoy has secrets from its files alone.
func TestEnvironmentOfEnvoy(t *testing.T) {
	t.Setenv("LLM_KEY", "top-secret")
	t.Setenv("ANTWORT_API_KEY", "top-secret")
	t.Setenv("LC_ALL", "C")
	opt := options(t, "env; exit 7")
	var out bytes.Buffer
	opt.Output = &out
	require.ErrorContains(t, Run(t.Context(), parse(t, minimal), opt), "exit status 7")
	assert.NotContains(t, out.String(), "top-secret")
	for _, name := range []string{"PATH", "TMPDIR", "LC_ALL"} {
		assert.Contains(t, out.String(), name+"="+os.Getenv(name)+"\n")
	}
}

func TestPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	cfg := parse(t, minimal)
	cfg.Server.Port = ln.Addr().(*net.TCPAddr).Port
	err = Run(t.Context(), cfg, options(t, "exit 1"))
	require.ErrorContains(t, err, "server.host, server.port: cannot listen on "+ln.Addr().String())
}

func TestConfigThatEnvoyCannotHave(t *testing.T) {
	for name, c := range map[string]struct{ json, problem string }{
		"name to listen on": {`{"server":{"host":"gateway"},"engine":{"provider":"vllm","backend_url":"http://llm:1"}}`, "server.host: "},
		"filter's limits":   {`{"engine":{"provider":"vllm","backend_url":"http://llm:1"},"limits":{"in_flight_bytes":"1MiB"}}`, "limits.request_body_bytes: "},
	} {
		t.Run(name, func(t *testing.T) {
			err := Run(t.Context(), parse(t, c.json), options(t, "exit 1"))
			var wrong *ConfigError
			require.ErrorAs(t, err, &wrong)
			require.ErrorContains(t, err, c.problem)
		})
	}
}
