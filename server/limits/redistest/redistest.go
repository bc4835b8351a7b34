// Package redistest starts a Redis for tests: a real one, of its own, on a Unix socket.
// Tests enter by [Start], or by [StartTLS] for one that is reached with TLS only; where no
// redis-server, nor a valkey-server, is found they are skipped, but fail where
// TEST_REDIS=required says that there must be one; TEST_REDIS=none is as if there were none. TEST_REDIS_SERVER names another program.
package redistest

import (
	"net"
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
	port         string   // with TLS; "": there is none
	tls          []string // arguments
}

// Start starts a Redis that ends with the test. It has what it was told when it is started
// again.
func Start(t testing.TB) *Server {
	t.Helper()
	s := find(t)
	s.Run(t)
	return s
}

// StartTLS starts one with a certificate and its key, both in PEM, on a port of 127.0.0.1.
func StartTLS(t testing.TB, cert, key []byte) *Server {
	t.Helper()
	s := find(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, s.port, err = net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	certFile, keyFile := filepath.Join(s.folder, "cert.pem"), filepath.Join(s.folder, "key.pem")
	require.NoError(t, os.WriteFile(certFile, cert, 0o600))
	require.NoError(t, os.WriteFile(keyFile, key, 0o600))
	s.tls = []string{"--bind", "127.0.0.1", "--tls-port", s.port, "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-auth-clients", "no"}
	s.Run(t)
	return s
}

// find is a Redis that is not started yet.
func find(t testing.TB) *Server {
	t.Helper()
	if os.Getenv("TEST_REDIS") == "none" {
		t.Skip("TEST_REDIS=none: nothing is tested with Redis")
	}
	programs := []string{"redis-server", "valkey-server"}
	if named := os.Getenv("TEST_REDIS_SERVER"); named != "" {
		programs = []string{named}
	}
	var file string
	var err error
	for _, p := range programs {
		if file, err = exec.LookPath(p); err == nil {
			break
		}
	}
	if err != nil {
		if os.Getenv("TEST_REDIS") == "required" || os.Getenv("TEST_REDIS_SERVER") != "" {
			t.Fatal("there is no redis-server or valkey-server on PATH, and TEST_REDIS=required or TEST_REDIS_SERVER wants one")
		}
		t.Skip("there is no redis-server or valkey-server on PATH: nothing is tested with Redis (Debian has it in the package redis-server; TEST_REDIS_SERVER names another program)")
	}
	folder, err := os.MkdirTemp("", "antwort-redis") // short: the socket's path must be
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	s := &Server{folder: folder, file: file}
	t.Cleanup(func() { s.Kill(t) })
	return s
}

// TLS is the server's URL with TLS, by a name of the host.
func (s *Server) TLS(host string) string { return "rediss://" + net.JoinHostPort(host, s.port) }

// URL is the server's, without TLS.
func (s *Server) URL() string { return "unix://" + filepath.Join(s.folder, "s") }

// Run starts a Redis that is down, and returns when it takes connections.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	s.cmd = exec.Command(s.file, "--port", "0", "--unixsocket", filepath.Join(s.folder, "s"), "--dir", s.folder, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
	s.cmd.Args = append(s.cmd.Args, s.tls...)
	s.cmd.SysProcAttr = program.Dying(syscall.SIGKILL)
	log, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	program.Start(t, "Redis", s.cmd, log, "ready to accept connections at", "Ready to accept connections unix")
}

// Pause has Redis stand still, as a machine without memory or a slow disk does: it takes
// connections and bytes, and answers none until Resume.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGSTOP))
}

// Resume has it go on, with all that has come meanwhile.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGCONT))
}

// Kill ends Redis as a crash does.
func (s *Server) Kill(t testing.TB) {
	if s.cmd != nil {
		require.NoError(t, s.cmd.Process.Kill())
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}
