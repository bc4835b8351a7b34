package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"antwort/server/state"
	"antwort/server/state/packed"
)

// reads are the statements of the readers.
type reads struct{ chain, get, ids, usage, claimable, log, queued, conversation, conversationIDs, threads, responses, item, after, ascending, descending *sql.Stmt }

// columns are those of a record, in the order of scan.
const columns = "id, thread, coalesce(parent, ''), depth, status, flags, created, cut, input, output, shell"

func (r *reads) prepare(ctx context.Context, db *sql.DB) error {
	return prepare(ctx, db, map[**sql.Stmt]string{
		// The walk comes first, and the newest response of it: it is the order in
		// which a recursive query gives its rows. It remembers where each is, so that
		// none is looked up twice.
		&r.chain: `WITH RECURSIVE chain (place, parent) AS (
				SELECT rowid, parent FROM responses WHERE id = ?1 AND owner = ?2
				UNION ALL SELECT r.rowid, r.parent FROM chain JOIN responses r ON r.id = chain.parent AND r.owner = ?2
			) SELECT r.id, coalesce(r.parent, ''), r.depth, r.status, r.flags, r.input, r.output
			FROM chain CROSS JOIN responses r ON r.rowid = chain.place`,
		&r.get: "SELECT " + columns + " FROM responses WHERE id = ? AND owner = ?",
		&r.ids: "SELECT id FROM responses WHERE owner = ? ORDER BY created, id",
		&r.usage: `SELECT owner, sum(turns), sum(kind), sum(bytes) FROM (
				SELECT owner, turns, kind, bytes FROM threads
				UNION ALL SELECT r.owner, 0, 0, length(e.data) FROM events e JOIN responses r ON r.id = e.response
			) GROUP BY owner`,
		&r.claimable: "SELECT id FROM responses WHERE status < 2 AND (lease_until IS NULL OR lease_until <= ?) LIMIT 1",
		&r.log: `SELECT r.status, r.flags, r.log_until, e.first, e.last, e.data FROM responses r
			LEFT JOIN events e ON e.response = r.id AND e.last > ?3 WHERE r.id = ?1 AND r.owner = ?2 ORDER BY e.first LIMIT ?4`,
		&r.queued: "SELECT count(*) FROM responses WHERE status = 0 AND status < 2",

		&r.conversation:    conversationQuery,
		&r.conversationIDs: conversationIDQuery,
		&r.threads:         threadsQuery,
		&r.responses:       responsesQuery,
		&r.item:            itemQuery,
		&r.after:           afterQuery,
		&r.ascending:       ascendingQuery,
		&r.descending:      descendingQuery,
	})
}

// Chain returns the response and all before it.
func (s *Store) Chain(ctx context.Context, owner state.Owner, id string, bounds state.Bounds) ([]state.Turn, error) {
	if !state.IsID(id) {
		return nil, state.ErrNotFound
	}
	rows, err := s.read.chain.QueryContext(ctx, id, owner[:])
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	defer func() { _ = rows.Close() }()
	walk := state.Walk{Bounds: bounds}
	var memory packed.Memory
	var t state.Turn
	var parent string
	var depth int
	var input, output sql.RawBytes // the driver's until the next row
	for first := true; rows.Next(); first = false {
		if err := rows.Scan(&t.ID, &parent, &depth, &t.Status, &t.Flags, &input, &output); err != nil {
			return nil, unavailable(ctx, err)
		}
		if first {
			if err := walk.Begin(t.Status, t.Flags, depth); err != nil {
				return nil, err
			}
		}
		if err := s.texts.UnpackTurn(walk.Room, &memory, owner, &t, input, output); err != nil {
			return nil, err
		}
		walk.Add(t, parent)
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(ctx, err)
	}
	return walk.End()
}

// Get returns one response.
func (s *Store) Get(ctx context.Context, owner state.Owner, id string) (*state.Record, error) {
	if !state.IsID(id) {
		return nil, state.ErrNotFound
	}
	r, err := readRecord(ctx, s.read.get, s.texts, owner, id)
	if err != nil && !state.Final(err) {
		return nil, unavailable(ctx, err)
	}
	return r, err
}

// readRecord reads one response by a statement that asks for its columns.
func readRecord(ctx context.Context, get *sql.Stmt, texts *packed.Packer, owner state.Owner, id string) (*state.Record, error) {
	r := new(state.Record)
	var input, output, shell []byte
	var created int64
	err := get.QueryRowContext(ctx, id, owner[:]).Scan(&r.ID, &r.Thread, &r.Parent, &r.Depth, &r.Status, &r.Flags, &created, &r.Cut, &input, &output, &shell)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, state.ErrNotFound
	case err != nil:
		return nil, err
	}
	r.Owner, r.Created = owner, time.UnixMilli(created)
	if err := texts.UnpackRecord(r, input, output, shell); err != nil {
		return nil, err
	}
	return r, nil
}

// Export calls each with all that an owner has.
func (s *Store) Export(ctx context.Context, owner state.Owner, each func(*state.Record) error) error {
	ids, err := s.ids(ctx, owner)
	if err != nil {
		return err
	}
	return state.Each(ctx, s, owner, ids, each)
}

// ids are those of an owner's responses, the oldest first.
func (s *Store) ids(ctx context.Context, owner state.Owner) (ids []string, err error) {
	rows, err := s.read.ids.QueryContext(ctx, owner[:])
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, unavailable(ctx, err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(ctx, err)
	}
	return ids, nil
}

// Usage returns what every owner has.
func (s *Store) Usage(ctx context.Context) (map[state.Owner]state.Used, error) {
	rows, err := s.read.usage.QueryContext(ctx)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	defer func() { _ = rows.Close() }()
	all := map[state.Owner]state.Used{}
	for rows.Next() {
		var owner []byte
		var used state.Used
		if err := rows.Scan(&owner, &used.Responses, &used.Conversations, &used.Bytes); err != nil {
			return nil, unavailable(ctx, err)
		}
		all[state.Owner(owner)] = used
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(ctx, err)
	}
	return all, nil
}
