// Package pgtest starts a Postgres for tests: a real one, of its own, on a Unix
// socket. Tests enter by [Start], or by [Shared] where [Main] runs them; where no initdb is found they are skipped, but
// fail where TEST_POSTGRES=required says that there must be one. TEST_POSTGRES=none is as if there were none.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"antwort/server/testkit/program"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Server is a Postgres and its folder.
type Server struct {
	folder string
	bin    string
	cmd    *exec.Cmd
}

// Start starts a Postgres that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := place(t)
	initdb := s.command(t, "initdb", "--pgdata", s.data(), "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	out, err := initdb.CombinedOutput()
	require.NoError(t, err, string(out))
	s.Run(t)
	return s
}

const absent = "there is no initdb, on PATH or below /usr/lib/postgresql: nothing is tested with Postgres (Debian has it in the package postgresql)"

// place is where a Postgres can be, until the test ends.
func place(t testing.TB) *Server {
	bin := find()
	if bin == "" {
		if os.Getenv("TEST_POSTGRES") == "required" {
			t.Fatal("there is no initdb, on PATH or below /usr/lib/postgresql, and TEST_POSTGRES=required wants one")
		}
		t.Skip(absent)
	}
	folder, err := os.MkdirTemp(memory(), "antwort-pg") // short: the socket's path must be
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	s := &Server{folder: folder, bin: bin}
	if uid, gid, is := servant(t); is {
		require.NoError(t, os.Chown(folder, uid, gid))
	}
	t.Cleanup(func() { s.Kill(t) })
	return s
}

// memory is a folder that costs no disk, where there is one with room; otherwise the name is empty. A database's
// thousands of files, made and removed again, cost the kernel twice as much on a disk.
func memory() string {
	const folder, room = "/dev/shm", 4 << 30
	var is syscall.Statfs_t
	if syscall.Statfs(folder, &is) != nil || is.Bavail*uint64(is.Bsize) < room { //nolint:gosec // the size of a block is none below 0
		return ""
	}
	return folder
}

// Standby starts a second Postgres, which has all that this one commits before the
// commit returns.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	standby := place(t)
	out, err := s.command(t, "pg_basebackup", "--host", s.folder, "--username", "postgres", "--pgdata", standby.data(), "--write-recovery-conf", "--checkpoint", "fast", "--no-sync").CombinedOutput()
	require.NoError(t, err, string(out))
	standby.Run(t)
	s.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = '*'")
	s.Exec(t, "SELECT pg_reload_conf()")
	return standby
}

// Promote makes a standby one that can be written.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = ''")
	s.Exec(t, "SELECT pg_promote()")
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

// find is the folder of the programs.
func find() string {
	if os.Getenv("TEST_POSTGRES") == "none" {
		return ""
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			if _, err := os.Stat(filepath.Join(filepath.Dir(real), "postgres")); err == nil {
				return filepath.Dir(real)
			}
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

// servant is the user that Postgres runs as when the tests are root's, who it does
// not run as.
func servant(t testing.TB) (uid, gid int, is bool) {
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	u, err := user.Lookup("postgres")
	require.NoError(t, err, "Postgres does not run as root, and there is no user postgres")
	uid, err = strconv.Atoi(u.Uid)
	require.NoError(t, err)
	gid, err = strconv.Atoi(u.Gid)
	require.NoError(t, err)
	return uid, gid, true
}

// command is one of Postgres' programs, which dies with the test.
func (s *Server) command(t testing.TB, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.folder
	cmd.SysProcAttr = program.Dying(syscall.SIGQUIT)
	if uid, gid, is := servant(t); is {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)} //nolint:gosec // ids have 32 bits
	}
	return cmd
}

// Run starts a Postgres that is down, and returns when it takes connections.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	s.cmd = s.command(t, "postgres", "-D", s.data(), "-k", s.folder, "-c", "listen_addresses=", "-c", "max_connections=200",
		"-c", "wal_retrieve_retry_interval=100ms") // how soon a standby asks again for its primary
	log, err := s.cmd.StderrPipe()
	require.NoError(t, err)
	program.Start(t, "Postgres", s.cmd, log, "ready to accept")
}

// Stop ends Postgres as an operator does, without waiting for its clients.
func (s *Server) Stop(t testing.TB) { s.end(t, syscall.SIGINT) }

// Kill ends Postgres as a crash does.
func (s *Server) Kill(t testing.TB) { s.end(t, syscall.SIGQUIT) }

func (s *Server) end(t testing.TB, sig syscall.Signal) {
	if s.cmd != nil {
		require.NoError(t, s.cmd.Process.Signal(sig))
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

var last atomic.Int64

// Schema makes a place for tables, and returns the URL by which nothing else is
// seen.
func (s *Server) Schema(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("s%d", last.Add(1))
	s.Exec(t, "CREATE SCHEMA "+name)
	return s.URL() + "&search_path=" + name
}

// Folder is where the socket is.
func (s *Server) Folder() string { return s.folder }

// URL is the URL of the database.
func (s *Server) URL() string { return "postgres:///postgres?user=postgres&host=" + s.folder }

// Exec carries out a statement.
func (s *Server) Exec(t testing.TB, statement string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.URL())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(ctx)) }()
	_, err = conn.PgConn().Exec(ctx, statement).ReadAll()
	require.NoError(t, err)
}

// Files are the files of the database that contain a text, its log of changes too.
func (s *Server) Files(t testing.TB, text string) (in []string) {
	t.Helper()
	s.Exec(t, "CHECKPOINT")
	root, err := os.OpenRoot(s.data())
	require.NoError(t, err)
	defer func() { require.NoError(t, root.Close()) }()
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return ignoreGone(err)
		}
		content, err := root.ReadFile(path)
		if bytes.Contains(content, []byte(text)) {
			in = append(in, path)
		}
		return ignoreGone(err)
	})
	require.NoError(t, err)
	return in
}

// ignoreGone is the error, but for that of a file that has gone meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
