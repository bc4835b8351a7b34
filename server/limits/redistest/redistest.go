// Package redistest starts a Redis for tests: a real one, of its own, on a Unix socket.
// Tests enter by [Start]; where no redis-server, nor a valkey-server, is found they are
// skipped, but fail where TEST_REDIS=required says that there must be one.
package redistest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Server is a Redis and its folder.
type Server struct {
	folder, program string
	cmd             *exec.Cmd
}

// Start starts a Redis that ends with the test. It has what it was told when it is started
// again.
func Start(t testing.TB) *Server {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		program, err = exec.LookPath("valkey-server")
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
	s := &Server{folder: folder, program: program}
	t.Cleanup(func() { s.Kill(t) })
	s.Run(t)
	return s
}

// URL is the server's.
func (s *Server) URL() string { return "unix://" + filepath.Join(s.folder, "s") }

// Run starts a Redis that is down, and returns when it takes connections.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	s.cmd = exec.Command(s.program, "--port", "0", "--unixsocket", filepath.Join(s.folder, "s"), "--dir", s.folder, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
	s.cmd.SysProcAttr = dying()
	log, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	ready := make(chan bool, 1)
	var said strings.Builder
	go func() {
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if strings.Contains(lines.Text(), "ready to accept connections at") || strings.Contains(lines.Text(), "Ready to accept connections unix") {
				ready <- true
			} else if len(ready) == 0 {
				said.WriteString(lines.Text() + "\n")
			}
		}
		close(ready)
	}()
	select {
	case up := <-ready:
		require.True(t, up, "Redis has ended: see its log:\n%s", &said)
	case <-time.After(time.Minute):
		t.Fatal("Redis does not come up")
	}
}

// Kill ends Redis as a crash does.
func (s *Server) Kill(t testing.TB) {
	if s.cmd != nil {
		require.NoError(t, s.cmd.Process.Kill())
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}
