// Package redistest starts a Redis for tests: a real one, of its own, on a Unix socket.
// Tests enter by [Start]; where no redis-server, nor a valkey-server, is found they are
// skipped, but fail where TEST_REDIS=required says that there must be one.
package redistest

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"antwort/server/testkit/program"

	"github.com/stretchr/testify/require"
)

// Server is a Redis and its folder.
type Server struct {
	folder, file string // file is the program
	cmd          *exec.Cmd
}

// Start starts a Redis that ends with the test. It has what it was told when it is started
// again.
func Start(t testing.TB) *Server {
	t.Helper()
	file, err := exec.LookPath("redis-server")
	if err != nil {
		file, err = exec.LookPath("valkey-server")
	}
	if err != nil {
		if os.Getenv("TEST_REDIS") == "required" {
			t.Fatal("there is no redis-server or valkey-server on PATH, and TEST_REDIS=required wants one")
		}
		t.Skip("there is no redis-server or valkey-server on PATH: nothing is tested with Redis (Debian has it in the package redis-server)")
	}
	folder, err := os.MkdirTemp("", "antwort-redis") // short: the socket's path must be
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	s := &Server{folder: folder, file: file}
	t.Cleanup(func() { s.Kill(t) })
	s.Run(t)
	return s
}

// URL is the server's.
func (s *Server) URL() string { return "unix://" + filepath.Join(s.folder, "s") }

// Run starts a Redis that is down, and returns when it takes connections.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	s.cmd = exec.Command(s.file, "--port", "0", "--unixsocket", filepath.Join(s.folder, "s"), "--dir", s.folder, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
	s.cmd.SysProcAttr = program.Dying(syscall.SIGKILL)
	log, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	program.Start(t, "Redis", s.cmd, log, "ready to accept connections at", "Ready to accept connections unix")
}

// Kill ends Redis as a crash does.
func (s *Server) Kill(t testing.TB) {
	if s.cmd != nil {
		require.NoError(t, s.cmd.Process.Kill())
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}
