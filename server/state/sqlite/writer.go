package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"antwort/server/state"
	"antwort/server/state/packed"
)

// together is how many writes one transaction takes at most: those that came while
// the one before went to the disk.
const together = 64

// write is one that waits.
type write struct {
	ctx  context.Context
	do   func(context.Context, *writer) error
	done chan error
}

// writer is the one connection that writes, in a goroutine of its own.
type writer struct {
	db            *sql.DB
	conn          *sql.Conn
	stmts         statements
	jobs          jobStatements
	conversations conversationStatements
	texts         *packed.Packer
	now           func() time.Time

	queue chan *write
	over  chan struct{} // closed when nobody writes any more

	mu   sync.RWMutex // held while a write is put into the queue
	shut bool
}

// newWriter makes the tables and starts the writer.
func newWriter(ctx context.Context, db *sql.DB, opt Options) (_ *writer, err error) {
	w := &writer{db: db, texts: opt.Texts, now: opt.Now, queue: make(chan *write, together), over: make(chan struct{})}
	defer func() {
		if err != nil && w.conn != nil {
			err = errors.Join(err, w.conn.Close())
		}
		if err != nil {
			err = errors.Join(err, w.db.Close())
		}
	}()
	if w.conn, err = db.Conn(ctx); err != nil {
		return nil, fmt.Errorf("cannot be opened as an SQLite database: %w", err)
	}
	all, err := steps()
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, w.conn, all, opt.Beside); err != nil {
		return nil, err
	}
	if err := prepare(ctx, w.conn, w.stmts.all()); err != nil {
		return nil, err
	}
	if err := prepare(ctx, w.conn, w.jobs.all()); err != nil {
		return nil, err
	}
	if err := prepare(ctx, w.conn, w.conversations.all()); err != nil {
		return nil, err
	}
	go w.run()
	return w, nil
}

func (w *writer) closed() bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.shut
}

// write has something written, and returns when it is on the disk. When ctx ends
// before, it may be written or not.
func (w *writer) write(ctx context.Context, do func(context.Context, *writer) error) error {
	if err := state.Ended(ctx); err != nil {
		return err
	}
	one := &write{ctx: ctx, do: do, done: make(chan error, 1)}
	if err := w.put(one); err != nil {
		return err
	}
	select {
	case err := <-one.done:
		return err
	case <-ctx.Done():
		return state.Ended(ctx)
	}
}

func (w *writer) put(one *write) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.shut {
		return state.Unavailable(errClosed)
	}
	select {
	case w.queue <- one:
		return nil
	case <-one.ctx.Done():
		return state.Ended(one.ctx)
	}
}

// run writes what comes until the queue is closed.
func (w *writer) run() {
	defer close(w.over)
	batch := make([]*write, 0, together)
	for one := range w.queue {
		batch = append(batch[:0], one)
	more:
		for len(batch) < together {
			select {
			case another, open := <-w.queue:
				if !open {
					break more
				}
				batch = append(batch, another)
			default:
				break more
			}
		}
		w.transaction(batch)
	}
}

// transaction writes a batch. One of it that fails by itself has written nothing;
// when the transaction fails, none has. Its statements have no end of their own: for each
// that has one the driver starts a goroutine, and a disk that does not answer would not
// hear of it. Who waits for a write waits for as long as its own ctx.
func (w *writer) transaction(batch []*write) {
	ctx := context.Background()
	results := make([]error, len(batch))
	err := run(ctx, w.stmts.open)
	if err == nil {
		for i, one := range batch {
			if results[i] = state.Ended(one.ctx); results[i] != nil {
				continue
			}
			if results[i] = one.do(ctx, w); errors.Is(results[i], errBroken) {
				err = results[i]
				break
			}
		}
		if err == nil {
			err = run(ctx, w.stmts.commit)
		}
		if err != nil {
			_, _ = w.conn.ExecContext(context.Background(), "ROLLBACK") // which a full disk has done already
		}
	}
	for i, one := range batch {
		if err != nil {
			results[i] = state.Unavailable(err)
		}
		one.done <- results[i]
	}
}

// errBroken is that the transaction cannot go on.
var errBroken = errors.New("SQLite says")

func broken(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errBroken, err)
}

// decided is an error of the store as it is: others of the transaction go on. Any other
// is SQLite's.
func decided(err error) error {
	if state.Final(err) {
		return err
	}
	return broken(err)
}

func (w *writer) exec(ctx context.Context, text string) error {
	_, err := w.conn.ExecContext(ctx, text)
	return broken(err)
}

func run(ctx context.Context, stmt *sql.Stmt) error {
	_, err := stmt.ExecContext(ctx)
	return broken(err)
}

// end writes what waits, and empties the log of changes into the file.
func (w *writer) end() error {
	w.mu.Lock()
	w.shut = true
	w.mu.Unlock()
	close(w.queue)
	<-w.over
	return errors.Join(closeStatements(w.stmts.all()), closeStatements(w.jobs.all()), closeStatements(w.conversations.all()), checkpoint(context.Background(), w.conn)) // an open statement keeps the files
}

// checkpoint empties the log of changes into the file, unless another process keeps
// it busy.
func checkpoint(ctx context.Context, db interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}) error {
	var busy, inLog, done int
	return db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &inLog, &done)
}

// close closes the connection of a writer that has ended.
func (w *writer) close() error { return errors.Join(w.conn.Close(), w.db.Close()) }
