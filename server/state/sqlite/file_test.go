package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"antwort/server/state"
	"antwort/server/state/statetest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	ctx   = context.Background()
	alice = state.Owner{1}
)

func opened(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(ctx, Options{Path: path})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func commit(t testing.TB, s *Store, parent string) *state.Record {
	t.Helper()
	r := statetest.Turn(alice, parent)
	require.NoError(t, s.Commit(ctx, r))
	return r
}

func TestWhatWasCommittedOutlivesTheProcess(t *testing.T) {
	if statetest.IsCrashed() {
		s, err := Open(ctx, Options{Path: os.Getenv("SQLITE_TEST_PATH")})
		require.NoError(t, err)
		statetest.Commits(s)
		return
	}
	path := filepath.Join(t.TempDir(), "state.db")
	t.Setenv("SQLITE_TEST_PATH", path)
	statetest.Crash(t, t.Name(), func() state.Store {
		s := opened(t, path)
		var sound string
		require.NoError(t, s.readers.QueryRow("PRAGMA integrity_check").Scan(&sound))
		assert.Equal(t, "ok", sound)
		return s
	})
}

// containing are the names of the files in a folder that contain a text.
func containing(t testing.TB, folder, text string) (in []string) {
	files, err := filepath.Glob(folder + "/*")
	require.NoError(t, err)
	for _, name := range files {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		if bytes.Contains(content, []byte(text)) {
			in = append(in, filepath.Base(name))
		}
	}
	return in
}

func TestDeletedTextIsNotInTheFile(t *testing.T) {
	folder := t.TempDir()
	s := opened(t, filepath.Join(folder, "state.db"))
	secret := func(text string) *state.Record {
		r := statetest.Turn(alice, "")
		r.Input = []byte(text)
		require.NoError(t, s.Commit(ctx, r))
		return r
	}
	found := func(text string) []string { return containing(t, folder, text) }
	deleted, purged, kept := secret("DELETED HUSH"), statetest.Turn(state.Owner{2}, ""), secret("KEPT TEXT")
	purged.Input = []byte("PURGED HUSH")
	require.NoError(t, s.Commit(ctx, purged))
	assert.NotEmpty(t, found("DELETED HUSH"))
	require.NoError(t, s.Delete(ctx, alice, deleted.ID))
	_, err := s.Purge(ctx, state.Owner{2})
	require.NoError(t, err)
	assert.Empty(t, found("PURGED HUSH"), "a purge waits for it")
	require.NoError(t, s.Close())
	assert.Empty(t, found("DELETED HUSH"))
	files, err := filepath.Glob(folder + "/*")
	require.NoError(t, err)
	assert.Len(t, files, 2, "the database and its lock")
	assert.Equal(t, []string{"state.db"}, found("KEPT TEXT"))
	_, err = opened(t, filepath.Join(folder, "state.db")).Get(ctx, alice, kept.ID)
	assert.NoError(t, err)
}

func TestOnlyTheUserCanReadTheFiles(t *testing.T) {
	folder := t.TempDir()
	commit(t, opened(t, filepath.Join(folder, "state.db")), "")
	files, err := filepath.Glob(folder + "/*")
	require.NoError(t, err)
	require.Len(t, files, 4)
	for _, name := range files {
		info, err := os.Stat(name)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
}

func TestOpeningIsRefusedWithAReason(t *testing.T) {
	folder := t.TempDir()
	text := filepath.Join(folder, "text.db")
	require.NoError(t, os.WriteFile(text, bytes.Repeat([]byte("no database, "), 100), 0o600))
	newer := filepath.Join(folder, "newer.db")
	s := opened(t, newer)
	require.NoError(t, s.writer.write(ctx, func(ctx context.Context, w *writer) error { return nil }))
	require.NoError(t, s.Close())
	db := open(newer, false, false)
	_, err := db.Exec("PRAGMA user_version = 99")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	taken := filepath.Join(folder, "taken.db")
	opened(t, taken)
	all, err := steps()
	require.NoError(t, err)
	for path, reason := range map[string]string{
		text:                                  "database",
		newer:                                 fmt.Sprintf("was written by a newer antwort: its tables have version 99, this antwort knows %d", len(all)),
		taken:                                 "is in use: another antwort has it",
		filepath.Join(folder, "none", "a.db"): "no such file or directory",
		folder:                                "is a directory",
	} {
		_, err := Open(ctx, Options{Path: path})
		if assert.Error(t, err, path) {
			assert.Contains(t, err.Error(), reason)
			assert.Contains(t, err.Error(), path)
		}
	}
	_, err = os.Stat(filepath.Join(folder, "newer.db"))
	assert.NoError(t, err)
	assert.Equal(t, "NFS", networkNames[0x6969])
}

// A file of every earlier version, with something in it, is brought up to date once.
func TestFilesOfEarlierVersions(t *testing.T) {
	all, err := steps()
	require.NoError(t, err)
	for version := 1; version <= len(all); version++ {
		path := filepath.Join(t.TempDir(), "state.db")
		db := open(path, false, false)
		conn, err := db.Conn(ctx)
		require.NoError(t, err)
		require.NoError(t, migrate(ctx, conn, all[:version], false))
		_, err = conn.ExecContext(ctx, `INSERT INTO threads (id, owner, created, expires, bytes, turns) VALUES ('a', x'01000000000000000000000000000000', 1, NULL, 3, 1);
			INSERT INTO responses (id, owner, thread, parent, depth, status, flags, created, cut, input, output, shell) VALUES ('a', x'01000000000000000000000000000000', 'a', NULL, 1, 2, 0, 1, 0, x'0041', x'0042', x'0043')`)
		require.NoError(t, err)
		next := append(all[:version:version], all[version:]...)
		next = append(next, "ALTER TABLE threads ADD COLUMN more TEXT")
		require.NoError(t, migrate(ctx, conn, next, false))
		require.NoError(t, migrate(ctx, conn, next, false), "once")
		assert.ErrorContains(t, migrate(ctx, conn, all, false), "newer antwort")
		broken := append(next[:len(next):len(next)], "CREATE TABLE half (a); nonsense")
		assert.ErrorContains(t, migrate(ctx, conn, broken, false), fmt.Sprintf("to version %d", len(broken)))
		require.NoError(t, migrate(ctx, conn, next, false), "what broke has changed nothing")
		_, err = conn.ExecContext(ctx, fmt.Sprintf("ALTER TABLE threads DROP COLUMN more; PRAGMA user_version = %d", len(all)))
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		require.NoError(t, db.Close())
		got, err := opened(t, path).Get(ctx, alice, "a")
		require.NoError(t, err)
		assert.Equal(t, "BC", string(got.AppendResource(nil)))
	}
}

func TestBesideAServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	_, err := Open(ctx, Options{Path: path, Beside: true})
	require.ErrorContains(t, err, "no such file")
	serving := opened(t, path)
	first := commit(t, serving, "")
	beside, err := Open(ctx, Options{Path: path, Beside: true})
	require.NoError(t, err)
	_, err = beside.Get(ctx, alice, first.ID)
	require.NoError(t, err)
	n, err := beside.Purge(ctx, alice)
	require.NoError(t, err)
	assert.Equal(t, state.Removed{Responses: 1}, n)
	require.NoError(t, beside.Close())
	_, err = serving.Get(ctx, alice, first.ID)
	require.ErrorIs(t, err, state.ErrNotFound)
	commit(t, serving, "")
	_, err = Open(ctx, Options{Path: path})
	assert.ErrorContains(t, err, "is in use", "the lock is the server's still")

	older := filepath.Join(t.TempDir(), "older.db")
	require.NoError(t, os.WriteFile(older, nil, 0o600))
	_, err = Open(ctx, Options{Path: older, Beside: true})
	assert.ErrorContains(t, err, "was written by an older antwort")
}

func TestFullDisk(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "state.db"))
	first := commit(t, s, "")
	pages := func(most int) {
		require.NoError(t, s.writer.write(ctx, func(ctx context.Context, w *writer) error {
			var now int
			require.NoError(t, w.conn.QueryRowContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", most)).Scan(&now))
			return nil
		}))
	}
	pages(1) // as many as there are
	large := statetest.Turn(alice, first.ID)
	large.Input = make([]byte, 100<<10)
	for i := range large.Input {
		large.Input[i] = byte(i * i >> 3)
	}
	for i := 0; i < len(large.Input); i += 97 {
		large.Input[i] = byte(i >> 7)
	}
	var err error
	for range 50 { // until there is no page left
		large.ID = statetest.NewID()
		if err = s.Commit(ctx, large); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, state.ErrUnavailable)
	assert.ErrorContains(t, err, "full")
	_, err = s.Get(ctx, alice, first.ID)
	assert.NoError(t, err, "what is there can be read")
	pages(1 << 30)
	require.NoError(t, s.Commit(ctx, large), "it recovers")
	_, err = s.Chain(ctx, alice, large.ID, state.Bounds{})
	assert.NoError(t, err)
}

func TestDiskThatBecomesReadOnly(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "state.db"))
	first := commit(t, s, "")
	readOnly := func(on int) { // SQLite answers as it does when the disk refuses
		conn := s.writer.conn
		_, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA query_only = %d", on))
		require.NoError(t, err)
	}
	readOnly(1)
	err := s.Commit(ctx, statetest.Turn(alice, first.ID))
	require.ErrorIs(t, err, state.ErrUnavailable)
	assert.ErrorContains(t, err, "readonly")
	_, err = s.Chain(ctx, alice, first.ID, state.Bounds{})
	require.NoError(t, err, "what is there can be read")
	readOnly(0)
	commit(t, s, first.ID)
}

func TestFileThatMayNotBeWritten(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everything")
	}
	path := filepath.Join(t.TempDir(), "state.db")
	require.NoError(t, opened(t, path).Close())
	require.NoError(t, os.Chmod(path, 0o400))
	_, err := Open(ctx, Options{Path: path})
	assert.ErrorContains(t, err, "permission denied")
}

func TestFileThatAnotherProgramHas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := opened(t, path)
	first := commit(t, s, "")
	other := open(path, false, false)
	defer func() { _ = other.Close() }()
	conn, err := other.Conn(ctx)
	require.NoError(t, err)
	_, err = conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	require.NoError(t, err)
	assert.ErrorIs(t, s.Commit(ctx, statetest.Turn(alice, first.ID)), state.ErrUnavailable)
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	err = s.Commit(short, statetest.Turn(alice, first.ID))
	assert.ErrorIs(t, err, context.DeadlineExceeded, "nobody waits longer than wanted")
	_, err = s.Get(ctx, alice, first.ID)
	assert.NoError(t, err, "what is there can be read")
	_, err = conn.ExecContext(ctx, "ROLLBACK")
	require.NoError(t, err)
	commit(t, s, first.ID)
}

func TestOneBadWriteLeavesTheOthersOfItsTransaction(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "state.db"))
	first := commit(t, s, "")
	blocked, release := make(chan bool), make(chan bool)
	go func() {
		_ = s.writer.write(ctx, func(context.Context, *writer) error { close(blocked); <-release; return nil })
	}()
	<-blocked
	good, orphan := statetest.Turn(alice, first.ID), statetest.Turn(alice, statetest.NewID())
	results := make(chan error)
	for _, r := range []*state.Record{orphan, good} {
		go func() {
			err := s.Commit(ctx, r)
			if r == orphan && !errors.Is(err, state.ErrMissing) {
				err = fmt.Errorf("the orphan: %w", err)
			} else if r == orphan {
				err = nil
			}
			results <- err
		}()
	}
	for len(s.writer.queue) < 2 {
		time.Sleep(time.Millisecond)
	}
	close(release)
	require.NoError(t, <-results)
	require.NoError(t, <-results)
	_, err := s.Chain(ctx, alice, good.ID, state.Bounds{})
	assert.NoError(t, err)
}

// The driver is made for one version of its C library, to the letter, and has the
// SQLite in which no two connections can break the file.
func TestVersions(t *testing.T) {
	var version string
	db := open(filepath.Join(t.TempDir(), "a.db"), false, false)
	defer func() { _ = db.Close() }()
	require.NoError(t, db.QueryRow("SELECT sqlite_version()").Scan(&version))
	var major, minor, patch int
	_, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, major*1_000_000+minor*1000+patch, 3_051_003, version)

	list := func(format, module string) string {
		out, err := exec.Command("go", "list", "-m", "-f", format, module).Output()
		require.NoError(t, err)
		return strings.TrimSpace(string(out))
	}
	mod, err := os.ReadFile(list("{{.GoMod}}", "modernc.org/sqlite"))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(mod), "modernc.org/libc ")
	assert.Equal(t, strings.Fields(rest)[0], list("{{.Version}}", "modernc.org/libc"), "go.mod must have the version that modernc.org/sqlite was made with")
}

// To delete what is somebody else's writes as little as to delete what never was.
func TestSomebodyElsesIsDeletedAsUnknown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := opened(t, path)
	hers := commit(t, s, "")
	written := func(owner state.Owner, id string, want error) (bytes int64) {
		before, err := os.Stat(path + "-wal")
		require.NoError(t, err)
		require.ErrorIs(t, s.Delete(ctx, owner, id), want)
		after, err := os.Stat(path + "-wal")
		require.NoError(t, err)
		return after.Size() - before.Size()
	}
	bob := state.Owner{2}
	require.Zero(t, written(bob, strings.Repeat("0", len(hers.ID)), state.ErrNotFound))
	require.Zero(t, written(bob, hers.ID, state.ErrNotFound))
	require.Positive(t, written(alice, hers.ID, nil))
}
