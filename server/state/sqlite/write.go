package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"time"

	"antwort/server/state"
)

// statements are those of the writer.
type statements struct {
	open, commit, begin, first, next, grow, known, remove, shrink, empty, expired, drop, dropOwned, owned, more, give, key *sql.Stmt
}

func (s *statements) all() map[**sql.Stmt]string {
	return map[**sql.Stmt]string{
		&s.open:   "BEGIN IMMEDIATE",
		&s.commit: "COMMIT",
		&s.begin:  "INSERT INTO threads (id, owner, created, expires, bytes, turns) VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT DO NOTHING",
		&s.first: `INSERT INTO responses (id, owner, thread, depth, status, flags, created, cut, input, output, shell)
			VALUES (?1, ?2, ?1, 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING`,
		&s.next: `INSERT INTO responses (id, owner, thread, parent, depth, status, flags, created, cut, input, output, shell)
			SELECT ?1, ?2, p.thread, p.id, p.depth + 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM responses p WHERE p.id = ?10 AND p.owner = ?2
			ON CONFLICT DO NOTHING RETURNING thread`,
		// A thread lives a little longer than it must, so that not every turn has to
		// write the index of expires.
		&s.grow: `UPDATE threads SET bytes = bytes + ?2, turns = turns + 1,
			expires = CASE WHEN ?3 IS NULL THEN NULL WHEN expires BETWEEN ?3 AND ?3 + ?4 THEN expires ELSE ?3 + ?4 END WHERE id = ?1`,
		&s.known:  "SELECT owner, coalesce(parent, ''), status, created FROM responses WHERE id = ?",
		&s.remove: "DELETE FROM responses WHERE id = ? AND owner = ? RETURNING thread, length(input) + length(output) + length(shell) + coalesce(length(request), 0)",
		&s.shrink: `UPDATE threads SET bytes = bytes - ?2, turns = turns - 1,
			locked_by = CASE WHEN locked_by = ?3 THEN NULL ELSE locked_by END WHERE id = ?1`,
		&s.empty: "DELETE FROM threads WHERE id = ? AND turns <= 0 AND kind = 0",
		&s.expired: `SELECT id, turns, kind FROM threads t WHERE expires <= ? AND NOT EXISTS (SELECT 1 FROM responses r WHERE r.thread = t.id AND r.status < 2)
			ORDER BY expires LIMIT ?`,
		&s.owned:     "SELECT id, turns, kind FROM threads WHERE owner = ? LIMIT ?",
		&s.give:      "INSERT INTO keys (name, key) VALUES (?, ?) ON CONFLICT DO NOTHING",
		&s.key:       "SELECT key FROM keys WHERE name = ?",
		&s.drop:      "DELETE FROM threads WHERE id = ?",
		&s.dropOwned: "DELETE FROM threads WHERE id = ? AND owner = ?",
		&s.more:      `SELECT EXISTS (SELECT 1 FROM threads t WHERE expires <= ? AND NOT EXISTS (SELECT 1 FROM responses r WHERE r.thread = t.id AND r.status < 2))`,
	}
}

// prepare prepares statements.
func prepare(ctx context.Context, conn interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}, all map[**sql.Stmt]string) error {
	for stmt, text := range all {
		var err error
		if *stmt, err = conn.PrepareContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

func closeStatements(all map[**sql.Stmt]string) error {
	var errs []error
	for stmt := range all {
		errs = append(errs, (*stmt).Close())
	}
	return errors.Join(errs...)
}

// Commit keeps a response.
func (s *Store) Commit(ctx context.Context, r *state.Record) error {
	if err := r.Check(); err != nil {
		return err
	}
	input, output, shell := s.texts.PackRecord(r)
	if r.Joins != nil {
		return s.join(ctx, r, input, output, shell)
	}
	head := *r // it may be written after the caller has left
	return s.writer.write(ctx, func(ctx context.Context, w *writer) error { return w.commit(ctx, &head, input, output, shell) })
}

func (w *writer) commit(ctx context.Context, r *state.Record, input, output, shell []byte) error {
	created, size := r.Created.UnixMilli(), len(input)+len(output)+len(shell)
	var expires any
	if r.TTL > 0 {
		expires = w.now().Add(r.TTL).UnixMilli()
	}
	row := []any{r.ID, r.Owner[:], r.Status, r.Flags, created, r.Cut, input, output, shell}
	if r.Parent == "" {
		n, err := inserted(w.stmts.begin.ExecContext(ctx, r.ID, r.Owner[:], created, expires, size))
		if err == nil && n > 0 {
			n, err = inserted(w.stmts.first.ExecContext(ctx, row...))
			if err == nil && n == 0 { // it is there, in another thread
				_, err = inserted(w.stmts.drop.ExecContext(ctx, r.ID))
			}
		}
		if err == nil && n == 0 {
			err = w.notInserted(ctx, r)
		}
		return err
	}
	var thread string
	err := w.stmts.next.QueryRowContext(ctx, append(row, r.Parent)...).Scan(&thread)
	if errors.Is(err, sql.ErrNoRows) {
		return w.notInserted(ctx, r)
	}
	if err != nil {
		return broken(err)
	}
	_, err = w.stmts.grow.ExecContext(ctx, thread, size, expires, r.Slack().Milliseconds())
	return broken(err)
}

// inserted is how many rows a statement has changed.
func inserted(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, broken(err)
	}
	n, err := result.RowsAffected()
	return n, broken(err)
}

// notInserted says why a response was not: it is there, or its parent is not.
func (w *writer) notInserted(ctx context.Context, r *state.Record) error {
	var owner []byte
	var parent string
	var status state.Status
	var created int64
	err := w.stmts.known.QueryRowContext(ctx, r.ID).Scan(&owner, &parent, &status, &created)
	switch {
	case errors.Is(err, sql.ErrNoRows) && r.Parent != "":
		return &state.MissingError{ID: r.Parent}
	case errors.Is(err, sql.ErrNoRows):
		return state.ErrConflict
	case err != nil:
		return broken(err)
	case state.Owner(owner) == r.Owner && parent == r.Parent && status == r.Status && created == r.Created.UnixMilli():
		return nil
	}
	return state.ErrConflict
}

// Delete removes one response.
func (s *Store) Delete(ctx context.Context, owner state.Owner, id string) error {
	if !state.IsID(id) {
		return state.ErrNotFound
	}
	return s.writer.write(ctx, func(ctx context.Context, w *writer) error {
		var thread string
		var bytes int64
		err := w.stmts.remove.QueryRowContext(ctx, id, owner[:]).Scan(&thread, &bytes)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return state.ErrNotFound
		case err != nil:
			return broken(err)
		}
		if _, err := w.stmts.shrink.ExecContext(ctx, thread, bytes, id); err != nil {
			return broken(err)
		}
		_, err = w.stmts.empty.ExecContext(ctx, thread)
		return broken(err)
	})
}

// Key returns the key of a name.
func (s *Store) Key(ctx context.Context, name string, fresh []byte) (key []byte, err error) {
	given := bytes.Clone(fresh) // it may be written after the caller has left
	kept := make(chan []byte, 1)
	err = s.writer.write(ctx, func(ctx context.Context, w *writer) error {
		if _, err := w.stmts.give.ExecContext(ctx, name, given); err != nil {
			return broken(err)
		}
		var key []byte
		if err := w.stmts.key.QueryRowContext(ctx, name).Scan(&key); err != nil {
			return broken(err)
		}
		select {
		case kept <- key:
		default: // it was done twice
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return <-kept, nil
}

// Sweep removes threads that have expired.
func (s *Store) Sweep(ctx context.Context, now time.Time, limit int) (state.Swept, error) {
	var swept state.Swept
	err := s.writer.write(ctx, func(ctx context.Context, w *writer) (err error) {
		at := now.UnixMilli()
		logs, err := w.sweepLogs(ctx, at, limit)
		if err != nil {
			return err
		}
		var threads int
		if swept.Removed, threads, err = w.dropAll(ctx, w.stmts.expired, at, limit); err != nil || threads == 0 {
			swept.More = logs
			return err
		}
		if err := w.stmts.more.QueryRowContext(ctx, at).Scan(&swept.More); err != nil {
			return broken(err)
		}
		swept.More = swept.More || logs
		return w.vacuum(ctx)
	})
	if err != nil {
		return state.Swept{}, err
	}
	return swept, nil
}

// vacuum gives pages back that are no longer used.
func (w *writer) vacuum(ctx context.Context) error {
	rows, err := w.conn.QueryContext(ctx, "PRAGMA incremental_vacuum(2000)")
	if err != nil {
		return broken(err)
	}
	for rows.Next() { // each row is a page
	}
	return broken(errors.Join(rows.Err(), rows.Close()))
}

// dropAll removes the threads that a query names, up to limit.
func (w *writer) dropAll(ctx context.Context, which *sql.Stmt, argument any, limit int) (removed state.Removed, threads int, err error) {
	rows, err := which.QueryContext(ctx, argument, limit)
	if err != nil {
		return removed, 0, broken(err)
	}
	var ids []string
	for rows.Next() {
		var id string
		var turns, kind int
		if err := rows.Scan(&id, &turns, &kind); err != nil {
			return removed, 0, broken(errors.Join(err, rows.Close()))
		}
		ids = append(ids, id)
		removed.Thread(turns, kind == 1)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return removed, 0, broken(err)
	}
	for _, id := range ids {
		if _, err := w.stmts.drop.ExecContext(ctx, id); err != nil {
			return removed, 0, broken(err)
		}
	}
	return removed, len(ids), nil
}

// purgeStep is how many threads of an owner one transaction removes.
const purgeStep = 200

// Purge removes all that an owner has, from the log of changes too.
func (s *Store) Purge(ctx context.Context, owner state.Owner) (removed state.Removed, err error) {
	for more := true; more; {
		var step state.Removed
		var threads int
		err := s.writer.write(ctx, func(ctx context.Context, w *writer) (err error) {
			step, threads, err = w.dropAll(ctx, w.stmts.owned, owner[:], purgeStep)
			return err
		})
		if err != nil {
			return removed, err
		}
		removed.Add(step)
		more = threads == purgeStep
	}
	if removed != (state.Removed{}) {
		if err := checkpoint(ctx, s.readers); err != nil {
			return removed, unavailable(ctx, err)
		}
	}
	return removed, nil
}
