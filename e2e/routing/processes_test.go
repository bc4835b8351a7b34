// Package routing has the tests of routing with real processes: gateways,
// backends and model servers that are killed and come back under load.
package routing

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"antwort/e2e/chain"
	"antwort/e2e/checkout"

	"github.com/stretchr/testify/require"
)

// limit is how long anything may take before a test gives up waiting.
const limit = 60 * time.Second

// program is a process on a port that it has after a restart too.
type program struct {
	t     *testing.T
	name  string
	url   string
	log   string
	args  []string
	ready string
	*chain.Process
}

// start runs a command of the binary until the test's end, with the arguments
// for its port.
func start(t *testing.T, name, ready string, args func(port int) []string) *program {
	t.Helper()
	port, err := chain.FreePort()
	require.NoError(t, err)
	p := &program{t: t, name: name, url: fmt.Sprintf("http://127.0.0.1:%d", port), log: filepath.Join(t.TempDir(), name+".log"), args: args(port), ready: ready}
	p.begin()
	t.Cleanup(func() {
		if p.Process != nil {
			require.NoError(t, p.Stop())
		}
	})
	return p
}

func (p *program) begin() {
	p.t.Helper()
	var err error
	p.Process, err = chain.StartProcess(context.Background(), p.name, p.log, checkout.Antwort(p.t), p.args...)
	require.NoError(p.t, err)
	require.NoError(p.t, p.WaitReady(context.Background(), p.url+p.ready, limit))
}

func (p *program) kill() {
	p.t.Helper()
	require.NoError(p.t, p.Kill())
	p.Process = nil
}

func model(t *testing.T, name string, more ...string) *program {
	t.Helper()
	return start(t, name, "/v1/models", func(port int) []string {
		return append([]string{"mock-llm", "--port", fmt.Sprint(port)}, more...)
	})
}

// serve starts antwort serve with a configuration, which is in file then.
func serve(t *testing.T, name, yaml string) (p *program, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), name+".yaml")
	return start(t, name, "/readyz", func(port int) []string {
		write(t, file, fmt.Sprintf("server: {host: 127.0.0.1, port: %d}\n", port)+yaml)
		return []string{"serve", "--config", file}
	}), file
}

// write replaces a file at once.
func write(t *testing.T, file, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(file+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(file+".new", file))
}

// requests is how many chat requests a model server has had.
func (p *program) requests() int {
	p.t.Helper()
	var stats struct{ Requests int }
	require.NoError(p.t, json.Unmarshal(p.get("/mock/stats"), &stats))
	return stats.Requests
}

func (p *program) get(path string) []byte {
	p.t.Helper()
	resp, err := http.Get(p.url + path)
	require.NoError(p.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	require.Equal(p.t, http.StatusOK, resp.StatusCode, "%s: %s", path, body)
	return body
}

// logged is what the process has written so far.
func (p *program) logged() string {
	p.t.Helper()
	text, err := os.ReadFile(p.log)
	require.NoError(p.t, err)
	return string(text)
}
