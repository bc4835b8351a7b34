package postgres

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"antwort/server/state"
	"antwort/server/state/packed"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// A chain that is too deep is not walked.
const chainQuery = `
	WITH RECURSIVE chain (id, parent, depth) AS (
		SELECT id, parent, depth FROM antwort_responses WHERE id = $1 AND owner = $2
		UNION ALL
		SELECT r.id, r.parent, r.depth FROM chain JOIN antwort_responses r ON r.id = chain.parent
		WHERE r.owner = $2 AND ($3::integer = 0 OR chain.depth <= $3::integer)
	)
	SELECT r.id, coalesce(r.parent, ''), r.depth, r.status, r.flags, r.input, r.output
	FROM chain JOIN antwort_responses r ON r.id = chain.id`

// link is one response of a chain, as the query gives it: in any order.
type link struct {
	turn   state.Turn
	parent string
	depth  int
}

// Chain returns the response and all before it.
func (s *Store) Chain(ctx context.Context, owner state.Owner, id string, bounds state.Bounds) ([]state.Turn, error) {
	if !state.IsID(id) {
		return nil, state.ErrNotFound
	}
	var links []link
	var walk state.Walk
	err := s.read(ctx, chainQuery, func(rows pgx.Rows) (err error) {
		links, walk = links[:0], state.Walk{Bounds: bounds}
		var memory packed.Memory
		var input, output pgtype.DriverBytes // the driver's until the next row
		for rows.Next() {
			var l link
			var status, flags int16
			if err := rows.Scan(&l.turn.ID, &l.parent, &l.depth, &status, &flags, &input, &output); err != nil {
				return unavailable(ctx, err)
			}
			l.turn.Status, l.turn.Flags = state.Status(status), state.Flags(flags) //nolint:gosec // a Record's
			if l.turn.ID == id {
				if err := walk.Begin(l.turn.Status, l.turn.Flags, l.depth); err != nil {
					return err
				}
			}
			if err := s.texts.UnpackTurn(walk.Room, &memory, owner, &l.turn, input, output); err != nil {
				return err
			}
			links = append(links, l)
		}
		return nil
	}, id, owner[:], bounds.Depth)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(links, func(a, b link) int { return cmp.Compare(b.depth, a.depth) })
	for _, l := range links {
		walk.Add(l.turn, l.parent)
	}
	return walk.End()
}

const getQuery = `
	SELECT id, thread, coalesce(parent, ''), depth, status, flags, created, cut, input, output, shell
	FROM antwort_responses WHERE id = $1 AND owner = $2`

// Get returns one response.
func (s *Store) Get(ctx context.Context, owner state.Owner, id string) (*state.Record, error) {
	if !state.IsID(id) {
		return nil, state.ErrNotFound
	}
	var r *state.Record
	err := s.read(ctx, getQuery, func(rows pgx.Rows) error {
		var err error
		r, err = scanRecord(rows, s.texts, owner)
		switch {
		case errors.Is(err, state.ErrNotFound):
			return nil
		case err != nil && !state.Final(err):
			return unavailable(ctx, err)
		}
		return err
	}, id, owner[:])
	if err == nil && r == nil {
		err = state.ErrNotFound
	}
	return r, err
}

// scanRecord reads the one row of getQuery, ErrNotFound when there is none.
func scanRecord(rows pgx.Rows, texts *packed.Packer, owner state.Owner) (*state.Record, error) {
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return nil, err
		}
		return nil, state.ErrNotFound
	}
	var status, flags int16
	var created int64
	var input, output, shell []byte
	r := &state.Record{Owner: owner}
	if err := rows.Scan(&r.ID, &r.Thread, &r.Parent, &r.Depth, &status, &flags, &created, &r.Cut, &input, &output, &shell); err != nil {
		return nil, err
	}
	r.Status, r.Flags, r.Created = state.Status(status), state.Flags(flags), time.UnixMilli(created) //nolint:gosec // a Record's
	if err := texts.UnpackRecord(r, input, output, shell); err != nil {
		return nil, err
	}
	return r, nil
}

// Export calls each with all that an owner has.
func (s *Store) Export(ctx context.Context, owner state.Owner, each func(*state.Record) error) error {
	var ids []string
	err := s.read(ctx, "SELECT id FROM antwort_responses WHERE owner = $1 ORDER BY created, id", func(rows pgx.Rows) (err error) {
		ids, err = pgx.AppendRows(ids[:0], rows, pgx.RowTo[string])
		if err != nil {
			return unavailable(ctx, err)
		}
		return nil
	}, owner[:])
	if err != nil {
		return err
	}
	return state.Each(ctx, s, owner, ids, each)
}

// Logs are counted where they are, so that adding to one changes nothing else.
const usageQuery = `
	SELECT owner, sum(turns)::bigint, sum(kind)::bigint, sum(bytes)::bigint FROM (
		SELECT owner, turns, kind, bytes FROM antwort_threads
		UNION ALL SELECT r.owner, 0, 0, octet_length(e.data) FROM antwort_events e JOIN antwort_responses r ON r.id = e.response
	) AS a GROUP BY owner`

// Usage returns what every owner has.
func (s *Store) Usage(ctx context.Context) (map[state.Owner]state.Used, error) {
	all := map[state.Owner]state.Used{}
	err := s.read(ctx, usageQuery, func(rows pgx.Rows) error {
		for rows.Next() {
			var owner []byte
			var used state.Used
			if err := rows.Scan(&owner, &used.Responses, &used.Conversations, &used.Bytes); err != nil {
				return unavailable(ctx, err)
			}
			all[state.Owner(owner)] = used
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
