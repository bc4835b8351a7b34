package postgres

import (
	"context"
	"time"

	"antwort/server/state"

	"github.com/jackc/pgx/v5"
)

const (
	threadsQuery = `SELECT id, kind, created, coalesce(expires, 0), bytes, turns FROM antwort_threads
		WHERE owner = $1 AND ($3 = '' OR (created, id) < ($2::bigint, $3)) ORDER BY created DESC, id DESC LIMIT $4`
	responsesQuery = `SELECT created, id FROM antwort_responses
		WHERE thread = $1 AND owner = $2 AND ($4 = '' OR (created, id) > ($3::bigint, $4)) ORDER BY created, id LIMIT $5`
	dropOwnedStatement = "DELETE FROM antwort_threads WHERE id = $1 AND owner = $2 RETURNING turns, kind"
)

// Threads returns threads of an owner.
func (s *Store) Threads(ctx context.Context, owner state.Owner, after state.Place, limit int) (threads []state.Thread, more bool, err error) {
	err = s.read(ctx, threadsQuery, func(rows pgx.Rows) error {
		threads = threads[:0]
		for rows.Next() {
			var t state.Thread
			var kind int
			var created, expires int64
			if err := rows.Scan(&t.ID, &kind, &created, &expires, &t.Bytes, &t.Responses); err != nil {
				return unavailable(ctx, err)
			}
			t.Conversation, t.Created = kind == 1, time.UnixMilli(created)
			if expires != 0 {
				t.Expires = time.UnixMilli(expires)
			}
			threads = append(threads, t)
		}
		return nil
	}, owner[:], after.Created.UnixMilli(), after.ID, limit+1)
	if err != nil {
		return nil, false, err
	}
	threads, more = state.Cut(threads, limit)
	return threads, more, nil
}

// Responses returns where responses of a thread are.
func (s *Store) Responses(ctx context.Context, owner state.Owner, thread string, after state.Place, limit int) (places []state.Place, more bool, err error) {
	err = s.read(ctx, responsesQuery, func(rows pgx.Rows) error {
		places = places[:0]
		for rows.Next() {
			var p state.Place
			var created int64
			if err := rows.Scan(&created, &p.ID); err != nil {
				return unavailable(ctx, err)
			}
			p.Created = time.UnixMilli(created)
			places = append(places, p)
		}
		return nil
	}, thread, owner[:], after.Created.UnixMilli(), after.ID, limit+1)
	if err != nil {
		return nil, false, err
	}
	places, more = state.Cut(places, limit)
	return places, more, nil
}

// DeleteThread removes a thread.
func (s *Store) DeleteThread(ctx context.Context, owner state.Owner, id string) error {
	threads, _, err := s.drop(ctx, dropOwnedStatement, id, owner[:])
	if err == nil && threads == 0 {
		err = state.ErrNotFound
	}
	return err
}
