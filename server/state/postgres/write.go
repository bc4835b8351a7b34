package postgres

import (
	"context"
	"errors"
	"time"

	"antwort/server/state"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The statements of a commit: each is one transaction, and one way there and back.
// They return nothing where nothing was kept.
const (
	firstStatement = `
		WITH thread AS (
			INSERT INTO antwort_threads (id, owner, created, expires, bytes, turns) VALUES ($1, $2, $5, $10, $11, 1)
			ON CONFLICT DO NOTHING RETURNING id
		)
		INSERT INTO antwort_responses (id, owner, thread, depth, status, flags, created, cut, input, output, shell)
		SELECT $1, $2, id, 1, $3, $4, $5, $6, $7, $8, $9 FROM thread RETURNING thread`

	// A thread lives a little longer than it must, so that not every turn has to
	// write the index of expires.
	nextStatement = `
		WITH new AS (
			INSERT INTO antwort_responses (id, owner, thread, parent, depth, status, flags, created, cut, input, output, shell)
			SELECT $1, $2, p.thread, p.id, p.depth + 1, $3, $4, $5, $6, $7, $8, $9 FROM antwort_responses p WHERE p.id = $12 AND p.owner = $2
			ON CONFLICT DO NOTHING RETURNING thread
		)
		UPDATE antwort_threads SET bytes = bytes + $11, turns = turns + 1, expires = CASE
			WHEN $10::bigint IS NULL THEN NULL
			WHEN expires BETWEEN $10::bigint AND $10::bigint + $13::bigint THEN expires
			ELSE $10::bigint + $13::bigint END
		WHERE id = (SELECT thread FROM new) RETURNING id`

	// It locks what it finds, which is a write: a row may be here that its standby has not
	// got, as when the connection went while it was waited for, and then this waits again.
	knownQuery = "SELECT owner, coalesce(parent, ''), status, created FROM antwort_responses WHERE id = $1 FOR NO KEY UPDATE"
)

// Commit keeps a response.
func (s *Store) Commit(ctx context.Context, r *state.Record) error {
	if err := r.Check(); err != nil {
		return err
	}
	if err := state.Ended(ctx); err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		return state.Unavailable(err)
	}
	if r.Joins != nil {
		return s.join(ctx, r)
	}
	statement, args := s.insertion(r)
	var thread string
	err := s.pool.QueryRow(ctx, statement, args...).Scan(&thread)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return s.why(ctx, r)
	case isCode(err, foreignKeyViolation): // the thread has gone meanwhile
		return &state.MissingError{ID: r.Parent}
	case isCode(err, uniqueViolation): // it is there, in another thread
		return s.why(ctx, r)
	}
	return unavailable(ctx, err)
}

// insertion is the statement that inserts a record, and its arguments.
func (s *Store) insertion(r *state.Record) (statement string, args []any) {
	input, output, shell := s.texts.PackRecord(r)
	var expires *int64
	if r.TTL > 0 {
		at := s.now().Add(r.TTL).UnixMilli()
		expires = &at
	}
	args = []any{r.ID, r.Owner[:], int16(r.Status), int16(r.Flags), r.Created.UnixMilli(), r.Cut, input, output, shell,
		expires, int64(len(input) + len(output) + len(shell))}
	if r.Parent == "" {
		return firstStatement, args
	}
	return nextStatement, append(args, r.Parent, r.Slack().Milliseconds())
}

// Codes of errors, see the appendix A of Postgres' documentation.
const (
	foreignKeyViolation = "23503"
	uniqueViolation     = "23505"
)

func isCode(err error, code string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == code
}

// why is notInserted outside of a transaction.
func (s *Store) why(ctx context.Context, r *state.Record) error {
	err := notInserted(ctx, s.pool, r)
	if err == nil || state.Final(err) {
		return err
	}
	return unavailable(ctx, err)
}

// notInserted says why a response was not: it is there, or its parent is not.
func notInserted(ctx context.Context, db interface {
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}, r *state.Record) error {
	var owner []byte
	var parent string
	var status int16
	var created int64
	err := db.QueryRow(ctx, knownQuery, r.ID).Scan(&owner, &parent, &status, &created)
	switch {
	case errors.Is(err, pgx.ErrNoRows) && r.Parent != "":
		return &state.MissingError{ID: r.Parent}
	case errors.Is(err, pgx.ErrNoRows):
		return state.ErrConflict
	case err != nil:
		return err
	case state.Owner(owner) == r.Owner && parent == r.Parent && status == int16(r.Status) && created == r.Created.UnixMilli():
		return nil
	}
	return state.ErrConflict
}

const (
	deleteStatement = `
		WITH gone AS (
			DELETE FROM antwort_responses WHERE id = $1 AND owner = $2
			RETURNING thread, octet_length(input) + octet_length(output) + octet_length(shell) + coalesce(octet_length(request), 0) AS bytes
		)
		UPDATE antwort_threads t SET bytes = t.bytes - gone.bytes, turns = turns - 1,
			locked_by = CASE WHEN locked_by = $1 THEN NULL ELSE locked_by END
		FROM gone WHERE t.id = gone.thread RETURNING t.id`
	emptyStatement = "DELETE FROM antwort_threads WHERE id = $1 AND turns <= 0 AND kind = 0"
)

// Delete removes one response.
func (s *Store) Delete(ctx context.Context, owner state.Owner, id string) error {
	if !state.IsID(id) {
		return state.ErrNotFound
	}
	if err := s.prepare(ctx); err != nil {
		return state.Unavailable(err)
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var thread string
		if err := tx.QueryRow(ctx, deleteStatement, id, owner[:]).Scan(&thread); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, emptyStatement, thread)
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return state.ErrNotFound
	case err != nil:
		return unavailable(ctx, err)
	}
	return nil
}

// Several processes sweep at once: what one has locked the others leave to it.
const (
	sweepStatement = `
		WITH old AS (
			SELECT id FROM antwort_threads t WHERE expires <= $1 AND ` + idle + ` ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED
		)
		DELETE FROM antwort_threads t USING old WHERE t.id = old.id RETURNING t.turns, t.kind`
	moreQuery = "SELECT EXISTS (SELECT 1 FROM antwort_threads t WHERE expires <= $1 AND " + idle + ")"

	// A thread stays while there is a job of it.
	idle = "NOT EXISTS (SELECT 1 FROM antwort_responses r WHERE r.thread = t.id AND r.status < 2)"

	purgeStatement = `
		WITH all_of AS (SELECT id FROM antwort_threads WHERE owner = $1 LIMIT $2 FOR UPDATE)
		DELETE FROM antwort_threads t USING all_of WHERE t.id = all_of.id RETURNING t.turns, t.kind`
)

// drop removes threads, and says how many, and how much they had.
func (s *Store) drop(ctx context.Context, statement string, args ...any) (threads int, removed state.Removed, err error) {
	if err := s.prepare(ctx); err != nil {
		return 0, removed, state.Unavailable(err)
	}
	rows, err := s.pool.Query(ctx, statement, args...)
	if err != nil {
		return 0, removed, unavailable(ctx, err)
	}
	var turns, kind int
	_, err = pgx.ForEachRow(rows, []any{&turns, &kind}, func() error {
		threads++
		removed.Thread(turns, kind == 1)
		return nil
	})
	if err != nil {
		return 0, state.Removed{}, unavailable(ctx, err)
	}
	return threads, removed, nil
}

// Key returns the key of a name.
func (s *Store) Key(ctx context.Context, name string, fresh []byte) (key []byte, err error) {
	err = s.transact(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO antwort_keys (name, key) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, fresh); err != nil {
			return err
		}
		return tx.QueryRow(ctx, "SELECT key FROM antwort_keys WHERE name = $1", name).Scan(&key)
	})
	return key, err
}

// Sweep removes threads that have expired.
func (s *Store) Sweep(ctx context.Context, now time.Time, limit int) (state.Swept, error) {
	logs, err := s.sweepLogs(ctx, now.UnixMilli(), limit)
	if err != nil {
		return state.Swept{}, err
	}
	threads, removed, err := s.drop(ctx, sweepStatement, now.UnixMilli(), limit)
	swept := state.Swept{Removed: removed, More: logs}
	if err != nil || threads == 0 {
		return swept, err
	}
	err = s.read(ctx, moreQuery, func(rows pgx.Rows) error {
		for rows.Next() {
			var more bool
			if err := rows.Scan(&more); err != nil {
				return unavailable(ctx, err)
			}
			swept.More = swept.More || more
		}
		return nil
	}, now.UnixMilli())
	return swept, err
}

// purgeStep is how many threads of an owner one transaction removes.
const purgeStep = 200

// Purge removes all that an owner has.
func (s *Store) Purge(ctx context.Context, owner state.Owner) (removed state.Removed, err error) {
	for threads := purgeStep; threads == purgeStep; {
		var step state.Removed
		if threads, step, err = s.drop(ctx, purgeStatement, owner[:], purgeStep); err != nil {
			return removed, err
		}
		removed.Add(step)
	}
	return removed, nil
}
