package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"antwort/server/state"
	"antwort/server/state/packed"
	"antwort/server/state/pgtest"
	"antwort/server/state/statetest"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	ctx   = context.Background()
	alice = state.Owner{1}
)

func opened(t testing.TB, dsn string, now func() time.Time) *Store {
	t.Helper()
	s, err := Open(ctx, Options{DSN: dsn, MaxConnections: 8, Now: now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func commit(t testing.TB, s *Store, parent string) *state.Record {
	t.Helper()
	r := statetest.Turn(alice, parent)
	require.NoError(t, s.Commit(ctx, r))
	return r
}

func TestMain(m *testing.M) { pgtest.Main(m) }

// shared is the Postgres of the tests that leave it as it is, but for their schemas.
func shared(t *testing.T) *pgtest.Server {
	t.Helper()
	pg := pgtest.Shared(t)
	if pg == nil {
		t.Skip("there is no Postgres")
	}
	return pg
}

// own is a Postgres for a test that ends it or takes long with it.
func own(t *testing.T) *pgtest.Server {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	return pgtest.Start(t)
}

func TestStore(t *testing.T) {
	pg := shared(t)
	statetest.Run(t, func(t testing.TB, now func() time.Time) state.Store { return opened(t, pg.Schema(t), now) })
}

func TestSweep(t *testing.T) {
	pg := shared(t)
	statetest.Sweep(t, func(t testing.TB, now func() time.Time) state.Store { return opened(t, pg.Schema(t), now) })
}

func BenchmarkStore(b *testing.B) {
	pg := pgtest.Start(b)
	statetest.Bench(b, func(t testing.TB, now func() time.Time) state.Store { return opened(t, pg.Schema(t), now) })
}

func TestWhatWasCommittedOutlivesTheProcess(t *testing.T) {
	if statetest.IsCrashed() {
		statetest.Commits(opened(t, os.Getenv("POSTGRES_TEST_URL"), nil))
		return
	}
	pg := shared(t)
	url := pg.Schema(t)
	t.Setenv("POSTGRES_TEST_URL", url)
	statetest.Crash(t, t.Name(), func() state.Store { return opened(t, url, nil) })
}

// 200 conversations of ten turns, each turn by any of two processes' stores, at
// once after the one before.
func TestTwoStoresOnOneDatabase(t *testing.T) {
	pg := shared(t)
	url := pg.Schema(t)
	stores := [2]*Store{opened(t, url, nil), opened(t, url, nil)}
	any := func() *Store { return stores[rand.IntN(2)] } //nolint:gosec // any will do
	var chats sync.WaitGroup
	var next atomic.Int32
	for range 16 {
		chats.Go(func() {
			for next.Add(1) <= 200 {
				parent := ""
				for turn := range 10 {
					r := statetest.Turn(alice, parent)
					if !assert.NoError(t, any().Commit(ctx, r)) {
						return
					}
					parent = r.ID
					turns, err := any().Chain(ctx, alice, parent, state.Bounds{})
					if !assert.NoError(t, err) || !assert.Len(t, turns, turn+1) {
						return
					}
				}
			}
		})
	}
	chats.Wait()
	used, err := stores[0].Usage(ctx)
	require.NoError(t, err)
	assert.Equal(t, 2000, used[alice].Responses)
	var swept atomic.Int64
	var sweeps sync.WaitGroup
	for _, s := range stores { // both sweep, and no thread is counted twice
		sweeps.Go(func() {
			for more := true; more; {
				got, err := s.Sweep(ctx, time.Now().Add(2*time.Hour), 7)
				if !assert.NoError(t, err) {
					return
				}
				swept.Add(int64(got.Responses))
				more = got.More
			}
		})
	}
	sweeps.Wait()
	assert.EqualValues(t, 2000, swept.Load())
}

// load commits turns of eight conversations until it is ended.
type load struct {
	store           *Store
	told            sync.Map // ids, with their depths
	count, failures atomic.Int64
	writers         sync.WaitGroup
	stop            context.CancelFunc
}

func startLoad(t *testing.T, s *Store) *load {
	until, stop := context.WithCancel(ctx)
	t.Cleanup(stop)
	l := &load{store: s, stop: stop}
	for range 8 {
		l.writers.Go(func() {
			parent, depth := "", 0
			for until.Err() == nil {
				r := statetest.Turn(alice, parent)
				within, cancel := context.WithTimeout(ctx, 2*time.Second)
				err := s.Commit(within, r)
				cancel()
				if err != nil {
					if !errors.Is(err, state.ErrUnavailable) {
						assert.NoError(t, err)
						return
					}
					l.failures.Add(1)
					continue // with another id: what became of this one is not known
				}
				parent, depth = r.ID, depth+1
				l.told.Store(parent, depth)
				l.count.Add(1)
			}
		})
	}
	return l
}

// more waits until some more turns were told.
func (l *load) more() {
	for before := l.count.Load(); l.count.Load() < before+200; {
		time.Sleep(5 * time.Millisecond)
	}
}

// recovers expects the store to be there, and says how soon that was.
func (l *load) recovers(t *testing.T) {
	start := time.Now()
	for l.store.Ready(ctx) != nil {
		require.Less(t, time.Since(start), time.Minute, "it recovers")
	}
	t.Logf("it recovers after %v", time.Since(start))
}

// end expects all that was told to be there.
func (l *load) end(t *testing.T) {
	l.stop()
	l.writers.Wait()
	assert.Positive(t, l.failures.Load())
	l.told.Range(func(id, depth any) bool {
		turns, err := l.store.Chain(ctx, alice, id.(string), state.Bounds{})
		return assert.NoError(t, err) && assert.Len(t, turns, depth.(int))
	})
	t.Logf("%d turns told, %d failed", l.count.Load(), l.failures.Load())
	assert.Eventually(t, func() bool { return l.store.InUse() == 0 }, time.Minute, time.Millisecond, "no connection is kept")
}

func TestCrashesOfTheDatabaseUnderLoad(t *testing.T) {
	pg := own(t)
	l := startLoad(t, opened(t, pg.Schema(t), nil))
	for _, down := range []func(testing.TB){pg.Kill, pg.Stop, pg.Kill} {
		l.more()
		down(t)
		assert.ErrorIs(t, l.store.Ready(ctx), state.ErrUnavailable)
		pg.Run(t)
		l.recovers(t)
	}
	l.more()
	l.end(t)
}

func TestFailOverToASynchronousStandbyUnderLoad(t *testing.T) {
	primary := own(t)
	url := primary.Schema(t)
	standby := primary.Standby(t)
	url = strings.Replace(url, primary.Folder(), primary.Folder()+","+standby.Folder(), 1) + "&target_session_attrs=read-write"
	l := startLoad(t, opened(t, url, nil))
	l.more()
	primary.Kill(t)
	standby.Promote(t)
	l.recovers(t)
	l.more()
	l.end(t)
}

func TestDatabaseThatIsNotThereYet(t *testing.T) {
	pg := own(t)
	url := pg.Schema(t)
	pg.Stop(t)
	s := opened(t, url, nil)
	assert.ErrorIs(t, s.Ready(ctx), state.ErrUnavailable)
	assert.ErrorIs(t, s.Commit(ctx, statetest.Turn(alice, "")), state.ErrUnavailable)
	pg.Run(t)
	require.NoError(t, s.Ready(ctx))
	commit(t, s, "")
}

func TestOpeningIsRefusedWithAReason(t *testing.T) {
	_, err := Open(ctx, Options{DSN: "postgres://user:HUSH@host:port/x"})
	require.ErrorContains(t, err, "want a URL")
	assert.NotContains(t, err.Error(), "HUSH")

	pg := shared(t)
	empty := pg.Schema(t)
	_, err = Open(ctx, Options{DSN: empty, CheckOnly: true})
	require.ErrorContains(t, err, fmt.Sprintf(`they have version 0, and this antwort needs %d; run "antwort state migrate"`, len(steps())))
	version, err := Migrate(ctx, empty)
	require.NoError(t, err)
	assert.Equal(t, len(steps()), version)
	s, err := Open(ctx, Options{DSN: empty, CheckOnly: true})
	require.NoError(t, err)
	require.NoError(t, s.Close())

	conn, err := pgx.Connect(ctx, empty)
	require.NoError(t, err)
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "UPDATE antwort_meta SET version = 99")
	require.NoError(t, err)
	for _, check := range []bool{true, false} {
		_, err = Open(ctx, Options{DSN: empty, CheckOnly: check})
		assert.ErrorContains(t, err, fmt.Sprintf("a newer antwort made them, version 99, and this one knows %d", len(steps())))
	}
	pg.Exec(t, "CREATE ROLE reader LOGIN; CREATE SCHEMA closed")
	_, err = Open(ctx, Options{DSN: "postgres:///postgres?user=reader&host=" + pg.Folder() + "&search_path=closed"})
	assert.ErrorContains(t, err, "its tables do not fit: bringing them to version 1", "a user that may not make them")
}

// Replicas that start at the same time make the tables once, and each of them starts.
func TestTablesAreMadeOnce(t *testing.T) {
	pg := shared(t)
	for range 10 {
		url := pg.Schema(t)
		var starts sync.WaitGroup
		for range 8 {
			conn, err := pgx.Connect(ctx, url)
			require.NoError(t, err)
			defer func() { _ = conn.Close(ctx) }()
			starts.Go(func() { assert.NoError(t, migrate(ctx, conn, steps(), false)) })
		}
		starts.Wait()
	}
}

// Tables of every earlier version, with something in them, are brought up to date,
// once, whoever else starts at the same time.
func TestTablesOfEarlierVersions(t *testing.T) {
	pg := shared(t)
	all := steps()
	for version := 1; version <= len(all); version++ {
		url := pg.Schema(t)
		connect := func() *pgx.Conn {
			conn, err := pgx.Connect(ctx, url)
			require.NoError(t, err)
			t.Cleanup(func() { _ = conn.Close(ctx) })
			return conn
		}
		conn := connect()
		require.NoError(t, migrate(ctx, conn, all[:version], false))
		_, err := conn.PgConn().Exec(ctx, `INSERT INTO antwort_threads (id, owner, created, expires, bytes, turns) VALUES ('a', '\x01000000000000000000000000000000', 1, NULL, 3, 1);
			INSERT INTO antwort_responses (id, owner, thread, parent, depth, status, flags, created, cut, input, output, shell) VALUES ('a', '\x01000000000000000000000000000000', 'a', NULL, 1, 2, 0, 1, 0, '\x0041', '\x0042', '\x0043')`).ReadAll()
		require.NoError(t, err)
		next := append(all[:len(all):len(all)], "ALTER TABLE antwort_threads ADD COLUMN more text")
		var starts sync.WaitGroup
		for range 4 {
			conn := connect()
			starts.Go(func() { assert.NoError(t, migrate(ctx, conn, next, false)) })
		}
		starts.Wait()
		assert.ErrorIs(t, migrate(ctx, conn, all, false), errTables)
		broken := append(next[:len(next):len(next)], "CREATE TABLE half (a integer); nonsense")
		assert.ErrorContains(t, migrate(ctx, conn, broken, false), fmt.Sprintf("to version %d", len(broken)))
		require.NoError(t, migrate(ctx, conn, next, true), "what broke has changed nothing")
		_, err = conn.Exec(ctx, fmt.Sprintf("UPDATE antwort_meta SET version = %d", len(all)))
		require.NoError(t, err)
		got, err := opened(t, url, nil).Get(ctx, alice, "a")
		require.NoError(t, err)
		assert.Equal(t, "BC", string(got.AppendResource(nil)))
	}
}

// What earlier versions have kept is there when their tables are brought up to date, and so
// is what this one keeps when they are opened again.
func TestKeptByEarlierVersions(t *testing.T) {
	pg := shared(t)
	all := steps()
	statetest.Past(t, len(all), func(t *testing.T, version int, rows string, texts *packed.Packer) state.Store {
		url := pg.Schema(t)
		conn, err := pgx.Connect(ctx, url)
		require.NoError(t, err)
		require.NoError(t, migrate(ctx, conn, all[:version], false))
		_, err = conn.PgConn().Exec(ctx, rows).ReadAll()
		require.NoError(t, err)
		require.NoError(t, conn.Close(ctx))
		return sealing(t, url, texts, nil)
	})
	for _, texts := range []*packed.Packer{nil, statetest.Sealed()} {
		url := pg.Schema(t)
		s := sealing(t, url, texts, nil)
		statetest.Keep(t, s)
		require.NoError(t, s.Close())
		statetest.Kept(t, sealing(t, url, texts, nil), len(all))
	}
}
