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
	"antwort/server/state/packed"
	"antwort/server/state/statetest"
	"antwort/server/testkit/program"

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
	commit(t, s, "")
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
	assert.NoFileExists(t, newer+"-wal", "the file was closed")
	db = open(newer, false, true)
	defer func() { _ = db.Close() }()
	var version, responses int
	require.NoError(t, db.QueryRow("PRAGMA user_version").Scan(&version))
	require.NoError(t, db.QueryRow("SELECT count(*) FROM responses").Scan(&responses))
	assert.Equal(t, [2]int{99, 1}, [2]int{version, responses}, "it is left alone")
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
	assert.ErrorContains(t, s.Writable(ctx), "readonly")
	_, err = s.Chain(ctx, alice, first.ID, state.Bounds{})
	require.NoError(t, err, "what is there can be read")
	readOnly(0)
	commit(t, s, first.ID)
}

// A second process is refused the file, and does nothing to it.
func TestTwoProcesses(t *testing.T) {
	const place = "SQLITE_TEST_SECOND"
	if path := os.Getenv(place); path != "" {
		_, err := Open(ctx, Options{Path: path})
		fmt.Println("second:", err)
		return
	}
	path := filepath.Join(t.TempDir(), "state.db")
	t.Setenv(place, path)
	second := func() string {
		out, err := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$").CombinedOutput() //nolint:gosec // it is the test itself
		require.NoError(t, err, string(out))
		_, said, _ := strings.Cut(string(out), "second: ")
		said, _, _ = strings.Cut(said, "\n")
		return said
	}
	first, err := Open(ctx, Options{Path: path})
	require.NoError(t, err)
	one := commit(t, first, "")
	for range 3 {
		require.Equal(t, path+" is in use: another antwort has it, and only one can; for several use state.type postgres", second())
		one = commit(t, first, one.ID)
	}
	turns, err := first.Chain(ctx, alice, one.ID, state.Bounds{})
	require.NoError(t, err)
	require.Len(t, turns, 4)
	require.NoError(t, first.Close())
	require.Equal(t, "<nil>", second(), "it has the file when the first one has ended")
}

func TestFilesOnTheNetwork(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "state.db")
	for number, kind := range map[int64]string{0x6969: "NFS", 0x517b: "SMB", 0xff534d42: "SMB", 0xfe534d42: "SMB", 0x5346414f: "AFS", 0x73757245: "Coda"} {
		for _, place := range []string{folder, path} { // a file can be mounted into a folder, or be a link
			for _, beside := range []bool{false, true} {
				_, err := Open(ctx, Options{Path: path, Beside: beside, fileSystem: func(asked string) int64 {
					if asked == place {
						return number
					}
					return 0xef53 // ext4
				}})
				require.EqualError(t, err, path+" is on "+kind+", where SQLite files break: put it on a disk of this machine, or use state.type postgres")
			}
		}
	}
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, files, "nothing was made there")
	s, err := Open(ctx, Options{Path: path, fileSystem: func(string) int64 { return 0xef53 }})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

// What is in the way of writing is said at the start, of a real disk.
func TestDiskThatCannotBeWritten(t *testing.T) {
	folder, mine := program.Disk(t, 1<<20)
	if !mine {
		return
	}
	require.EqualValues(t, 0x01021994, fileSystem(folder), "a disk in memory")
	fresh := func(name string) string {
		in := filepath.Join(folder, name)
		require.NoError(t, os.Mkdir(in, 0o700))
		return filepath.Join(in, "state.db")
	}
	refused := func(path, reason string) {
		_, err := Open(ctx, Options{Path: path})
		require.ErrorContains(t, err, reason)
		require.ErrorContains(t, err, path)
	}
	file, all := fresh("file"), fresh("all")
	for _, path := range []string{file, all} {
		s, err := Open(ctx, Options{Path: path})
		require.NoError(t, err)
		commit(t, s, "")
		require.NoError(t, s.Close())
	}
	program.ReadOnly(t, file)
	refused(file, "state.db: read-only file system")
	program.ReadOnly(t, filepath.Dir(all))
	refused(all, "state.db.lock: read-only file system")

	path := fresh("full")
	free := program.Fill(t, folder)
	refused(path, "full")
	free()
	commit(t, opened(t, path), "")
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
	assert.ErrorIs(t, s.Writable(ctx), state.ErrUnavailable)
	assert.NoError(t, s.Ready(ctx), "it can be read")
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	err = s.Commit(short, statetest.Turn(alice, first.ID))
	assert.ErrorIs(t, err, context.DeadlineExceeded, "nobody waits longer than wanted")
	_, err = s.Get(ctx, alice, first.ID)
	assert.NoError(t, err, "what is there can be read")
	_, err = conn.ExecContext(ctx, "ROLLBACK")
	require.NoError(t, err)
	require.NoError(t, s.Writable(ctx))
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

// What earlier versions have kept is there when their files are brought up to date, and so is
// what this one keeps when it is opened again.
func TestKeptByEarlierVersions(t *testing.T) {
	all, err := steps()
	require.NoError(t, err)
	statetest.Past(t, len(all), func(t *testing.T, version int, rows string, texts *packed.Packer) state.Store {
		path := filepath.Join(t.TempDir(), "state.db")
		db := open(path, false, false)
		conn, err := db.Conn(ctx)
		require.NoError(t, err)
		require.NoError(t, migrate(ctx, conn, all[:version], false))
		_, err = conn.ExecContext(ctx, rows)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		require.NoError(t, db.Close())
		return sealing(t, path, texts, nil)
	})
	for _, texts := range []*packed.Packer{nil, statetest.Sealed()} {
		path := filepath.Join(t.TempDir(), "state.db")
		s := sealing(t, path, texts, nil)
		statetest.Keep(t, s)
		require.NoError(t, s.Close())
		statetest.Kept(t, sealing(t, path, texts, nil), len(all))
	}
}
