// Package sqlite keeps responses in one file, for one process.
//
//	Commit, Delete, Sweep, Purge ─► one writer, up to 64 at a time ─► one transaction ─► the disk
//	Chain, Get, Export, Usage    ─► readers ─► the last state that is on the disk
//
// What was committed is on the disk before Commit returns. A lock beside the file
// keeps a second process out, and a file that a newer antwort has written is left
// alone.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"antwort/server/state"
	"antwort/server/state/packed"

	_ "modernc.org/sqlite" // the driver
)

// Options are what a store in a file is opened with.
type Options struct {
	Path   string
	Normal bool             // what was committed survives the process only, not the machine
	Beside bool             // another process serves the file, perhaps: nothing is made or brought up to date
	Texts  *packed.Packer   // of all that is in it; nil: nothing is sealed
	Now    func() time.Time // nil: time.Now

	fileSystem func(place string) int64 // what a place is on; nil: as the machine says
}

// Store keeps responses in a file.
type Store struct {
	lock    *os.File // nil: none was taken
	texts   *packed.Packer
	readers *sql.DB
	read    reads
	writer  *writer

	closing sync.Once
	closed  error
}

// The connections that read, and how long one waits for another program that has
// the file.
const (
	readers     = 4
	busyTimeout = 2 * time.Second
)

// Open opens the file, and makes it where it is not there. The error says what to
// do about it.
func Open(ctx context.Context, opt Options) (_ *Store, err error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	path, err := filepath.Abs(opt.Path)
	if err != nil {
		return nil, err
	}
	if opt.fileSystem == nil {
		opt.fileSystem = fileSystem
	}
	if err := onNetwork(path, opt.fileSystem); err != nil {
		return nil, err
	}
	if opt.Texts == nil {
		opt.Texts = new(packed.Packer)
	}
	s := &Store{texts: opt.Texts}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release())
		}
	}()
	flags := os.O_RDWR
	if !opt.Beside {
		flags |= os.O_CREATE
		if s.lock, err = takeLock(path); err != nil {
			return nil, err
		}
	}
	// SQLite makes the files beside it with the same permissions.
	file, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	if s.writer, err = newWriter(ctx, open(path, opt.Normal, false), opt); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.readers = open(path, opt.Normal, true)
	s.readers.SetMaxOpenConns(readers)
	s.readers.SetMaxIdleConns(readers)
	if err := s.read.prepare(ctx, s.readers); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// open makes connections to the file possible.
func open(path string, normal, readOnly bool) *sql.DB {
	pragmas := []string{fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), "trusted_schema(0)"}
	switch {
	case readOnly:
		pragmas = append(pragmas, "query_only(1)")
	case normal:
		pragmas = append(pragmas, "synchronous(NORMAL)")
	default:
		pragmas = append(pragmas, "synchronous(FULL)")
	}
	if !readOnly { // each of these may write
		pragmas = append(pragmas, "auto_vacuum(INCREMENTAL)", // before the first table
			"journal_mode(WAL)", "foreign_keys(1)", "secure_delete(1)", "journal_size_limit(67108864)")
	}
	name := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{"_pragma": pragmas}.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		panic(err) // the driver is there
	}
	return db
}

// Ready asks a reader.
func (s *Store) Ready(ctx context.Context) error {
	if s.writer.closed() {
		return state.Unavailable(errClosed)
	}
	var one int
	if err := s.readers.QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
		return unavailable(ctx, err)
	}
	return nil
}

// Writable writes what is there already: SQLite compares nothing.
func (s *Store) Writable(ctx context.Context) error {
	return s.writer.write(ctx, func(ctx context.Context, w *writer) error {
		var version int
		if err := w.conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
			return broken(err)
		}
		return w.exec(ctx, fmt.Sprintf("PRAGMA user_version = %d", version))
	})
}

var errClosed = errors.New("it is closed")

// unavailable is ErrUnavailable with what the context says, where it has ended.
func unavailable(ctx context.Context, err error) error {
	if ended := state.Ended(ctx); ended != nil {
		return ended
	}
	return state.Unavailable(err)
}

// Close ends the store; what waits to be written is written first.
func (s *Store) Close() error {
	s.closing.Do(func() { s.closed = s.release() })
	return s.closed
}

func (s *Store) release() error {
	var errs []error
	if s.writer != nil {
		errs = append(errs, s.writer.end())
	}
	if s.readers != nil {
		errs = append(errs, s.readers.Close())
	}
	if s.writer != nil { // the last one removes the files beside it
		errs = append(errs, s.writer.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
