package chats

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"antwort/e2e/chain"
	"antwort/e2e/checkout"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Server is an antwort serve that is killed and started anew.
type Server struct {
	URL    string
	Admin  string // where its metrics are
	Config string // path of the configuration file

	name, log, antwort string
	process            *chain.Process
}

// NewServer starts a server with this section state, in YAML on one line, until the test's end.
func NewServer(t testing.TB, name, model, state string) *Server {
	t.Helper()
	port, err := chain.FreePort()
	require.NoError(t, err)
	admin, err := chain.FreePort()
	require.NoError(t, err)
	dir := t.TempDir()
	s := &Server{URL: fmt.Sprintf("http://127.0.0.1:%d", port), Admin: fmt.Sprintf("http://127.0.0.1:%d", admin), Config: filepath.Join(dir, name+".yaml"), name: name, log: filepath.Join(dir, name+".log"), antwort: checkout.Antwort(t)}
	require.NoError(t, os.WriteFile(s.Config, fmt.Appendf(nil,
		"server: {host: 127.0.0.1, port: %d, admin: {port: %d}}\nengine: {provider: vllm, backend_url: %q}\nobservability: {log: {level: warn}}\nstate: %s\n", port, admin, model, state), 0o600))
	require.NoError(t, s.Start())
	t.Cleanup(func() {
		assert.NoError(t, s.process.Stop())
		if log, err := os.ReadFile(s.log); t.Failed() && err == nil {
			t.Logf("the log of %s:\n%s", name, log[max(0, len(log)-4<<10):])
		}
	})
	return s
}

// Start starts one that was killed, and returns when it is ready.
func (s *Server) Start() (err error) {
	if s.process, err = chain.StartProcess(context.Background(), s.name, s.log, s.antwort, "serve", "--config", s.Config); err != nil {
		return err
	}
	return s.process.WaitReady(context.Background(), s.URL+"/readyz", time.Minute)
}

// Kill ends it by SIGKILL, as a node that fails does.
func (s *Server) Kill() error { return s.process.Kill() }

// Connections is a client that keeps its connections.
func Connections(t testing.TB) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}
