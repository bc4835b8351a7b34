// Package postgres keeps responses in a database that several processes share.
//
//	Commit ─► one statement, which is one transaction ─► the database
//	Chain  ─► one recursive query ─► the whole chain
//
// What a commit survives is the database's matter: synchronous_commit and its
// replicas. A database that cannot be reached at the start is waited for; one whose
// tables a newer antwort has made is left alone.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"antwort/server/state"
	"antwort/server/state/packed"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Options are what a store in a database is opened with.
type Options struct {
	DSN            string
	MaxConnections int
	CheckOnly      bool             // the tables must be there, and none is made
	Texts          *packed.Packer   // of all that is in it; nil: nothing is sealed
	Now            func() time.Time // nil: time.Now
}

// Store keeps responses in a database.
type Store struct {
	pool  *pgxpool.Pool
	texts *packed.Packer
	now   func() time.Time
	check bool

	ready  atomic.Bool   // the tables are as they should be
	making chan struct{} // has one place: for who sees to the tables
	over   atomic.Bool
}

// connectTime bounds a connection's making, where the DSN does not.
const connectTime = 3 * time.Second

// heldTime is how long a process may keep others waiting in a transaction in which it
// asks for nothing, where the DSN does not say: one that hangs loses the connection, and
// all that it has locked. One that dies loses them at once.
const heldTime = 5 * time.Second

// heldParameter is Postgres' name for it.
const heldParameter = "idle_in_transaction_session_timeout"

// openTime bounds how long Open waits for tables; another process may be making them.
const openTime = time.Minute

// Open opens the database. When it cannot be reached, the store is unavailable
// until it can; when its tables are of another antwort, that is the error.
func Open(ctx context.Context, opt Options) (*Store, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Texts == nil {
		opt.Texts = new(packed.Packer)
	}
	cfg, err := pgxpool.ParseConfig(opt.DSN)
	if err != nil {
		return nil, errors.New("cannot be read: want a URL such as postgres://user:password@host:5432/database") // its own words may show the password
	}
	if opt.MaxConnections > 0 {
		cfg.MaxConns = int32(opt.MaxConnections) //nolint:gosec // the configuration has bounds
	}
	if cfg.ConnConfig.ConnectTimeout == 0 || cfg.ConnConfig.ConnectTimeout > time.Minute {
		cfg.ConnConfig.ConnectTimeout = connectTime
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "antwort"
	}
	if cfg.ConnConfig.RuntimeParams[heldParameter] == "" { // not at the start of a connection: poolers refuse that
		cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, fmt.Sprintf("SET %s = %d", heldParameter, heldTime.Milliseconds()))
			return err
		}
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, errors.New("cannot be used: " + secretless(err))
	}
	s := &Store{pool: pool, texts: opt.Texts, now: opt.Now, check: opt.CheckOnly, making: make(chan struct{}, 1)}
	begin, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	if err := s.prepare(begin); errors.Is(err, errTables) {
		pool.Close()
		return nil, err
	}
	return s, nil
}

// secretless is an error's text, when it is the database's own.
func secretless(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Message
	}
	return "no connection"
}

// prepare sees to the tables, until they are as they should be.
func (s *Store) prepare(ctx context.Context) error {
	if s.over.Load() {
		return state.Unavailable(errClosed)
	}
	if s.ready.Load() {
		return nil
	}
	select {
	case s.making <- struct{}{}:
		defer func() { <-s.making }()
	case <-ctx.Done():
		return unavailable(ctx, ctx.Err())
	}
	if s.ready.Load() {
		return nil
	}
	err := s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error { return migrate(ctx, conn.Conn(), steps(), s.check) })
	switch {
	case err == nil:
		s.ready.Store(true)
		return nil
	case errors.Is(err, errTables):
		return err
	}
	return unavailable(ctx, err)
}

var errClosed = errors.New("it is closed")

// unavailable is ErrUnavailable with what the context says, where it has ended.
func unavailable(ctx context.Context, err error) error {
	if ended := state.Ended(ctx); ended != nil {
		return ended
	}
	return state.Unavailable(err)
}

// lost reports whether it was the connection that failed, and not what was asked.
func lost(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return true
	}
	switch pg.Code[:2] {
	case "08", "57": // connection exception, operator intervention
		return true
	}
	return false
}

// read asks for something, once more where a connection turns out to be dead. use
// gets the rows, and says what to do with them.
func (s *Store) read(ctx context.Context, query string, use func(pgx.Rows) error, args ...any) error {
	if err := s.prepare(ctx); err != nil {
		return state.Unavailable(err)
	}
	for attempt := 1; ; attempt++ {
		rows, err := s.pool.Query(ctx, query, args...)
		if err == nil {
			err = use(rows)
			rows.Close()
			if err != nil {
				return err
			}
			err = rows.Err()
		}
		if err == nil {
			return nil
		}
		if attempt == 2 || !lost(err) || ctx.Err() != nil {
			return unavailable(ctx, err)
		}
	}
}

// Ready asks the database.
func (s *Store) Ready(ctx context.Context) error {
	return s.read(ctx, "SELECT 1", func(pgx.Rows) error { return nil })
}

// Writable locks a row, which is a write as any other, and waits as one.
func (s *Store) Writable(ctx context.Context) error {
	return s.read(ctx, "SELECT id FROM antwort_threads LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED", func(rows pgx.Rows) error {
		for rows.Next() { // whatever it is
		}
		return nil
	})
}

// InUse is how many connections are in use.
func (s *Store) InUse() int { return int(s.pool.Stat().AcquiredConns()) }

// Close ends the store and its connections.
func (s *Store) Close() error {
	if !s.over.Swap(true) {
		s.pool.Close()
	}
	return nil
}

// Migrate brings the tables up to date, whatever the options of stores say.
func Migrate(ctx context.Context, dsn string) (version int, err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, errors.New("cannot be reached: " + secretless(err))
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	all := steps()
	if err := migrate(ctx, conn, all, false); err != nil {
		return 0, fmt.Errorf("the tables: %w", err)
	}
	return len(all), nil
}
