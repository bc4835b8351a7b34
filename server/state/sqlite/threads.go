package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"antwort/server/state"
)

// threadReads are those of the readers.
const (
	threadsQuery = `SELECT id, kind, created, expires, bytes, turns FROM threads
		WHERE owner = ?1 AND (?3 = '' OR (created, id) < (?2, ?3)) ORDER BY created DESC, id DESC LIMIT ?4`
	responsesQuery = `SELECT created, id FROM responses
		WHERE thread = ?1 AND owner = ?2 AND (?4 = '' OR (created, id) > (?3, ?4)) ORDER BY created, id LIMIT ?5`
)

// Threads returns threads of an owner.
func (s *Store) Threads(ctx context.Context, owner state.Owner, after state.Place, limit int) (threads []state.Thread, more bool, _ error) {
	rows, err := s.read.threads.QueryContext(ctx, owner[:], after.Created.UnixMilli(), after.ID, limit+1)
	if err != nil {
		return nil, false, unavailable(ctx, err)
	}
	for rows.Next() {
		var t state.Thread
		var created int64
		var expires sql.NullInt64
		if err := rows.Scan(&t.ID, &t.Conversation, &created, &expires, &t.Bytes, &t.Responses); err != nil {
			return nil, false, unavailable(ctx, errors.Join(err, rows.Close()))
		}
		if t.Created = time.UnixMilli(created); expires.Valid {
			t.Expires = time.UnixMilli(expires.Int64)
		}
		threads = append(threads, t)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, false, unavailable(ctx, err)
	}
	threads, more = state.Cut(threads, limit)
	return threads, more, nil
}

// Responses returns where responses of a thread are.
func (s *Store) Responses(ctx context.Context, owner state.Owner, thread string, after state.Place, limit int) (places []state.Place, more bool, _ error) {
	rows, err := s.read.responses.QueryContext(ctx, thread, owner[:], after.Created.UnixMilli(), after.ID, limit+1)
	if err != nil {
		return nil, false, unavailable(ctx, err)
	}
	for rows.Next() {
		var p state.Place
		var created int64
		if err := rows.Scan(&created, &p.ID); err != nil {
			return nil, false, unavailable(ctx, errors.Join(err, rows.Close()))
		}
		p.Created = time.UnixMilli(created)
		places = append(places, p)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, false, unavailable(ctx, err)
	}
	places, more = state.Cut(places, limit)
	return places, more, nil
}

// DeleteThread removes a thread.
func (s *Store) DeleteThread(ctx context.Context, owner state.Owner, id string) error {
	return s.writer.write(ctx, func(ctx context.Context, w *writer) error {
		n, err := inserted(w.stmts.dropOwned.ExecContext(ctx, id, owner[:]))
		if err == nil && n == 0 {
			err = state.ErrNotFound
		}
		return err
	})
}
