package postgres

import (
	"context"
	"errors"
	"time"

	"antwort/server/state"
	"antwort/server/state/packed"

	"github.com/jackc/pgx/v5"
)

const (
	createStatement = `
		INSERT INTO antwort_threads (id, owner, created, expires, bytes, turns, kind, metadata)
		VALUES ($1, $2, $3, NULL, octet_length($4::bytea), 0, 1, $4) ON CONFLICT DO NOTHING`
	createdQuery = "SELECT owner, kind, created FROM antwort_threads WHERE id = $1"

	// Whoever changes a conversation has its row for itself.
	findQuery = `
		SELECT created, metadata, next_seq, coalesce(locked_by, ''), coalesce(locked_until > ` + clock + `, false)
		FROM antwort_threads WHERE id = $1 AND owner = $2 AND kind = 1 FOR UPDATE`

	batchQuery   = "SELECT batch FROM antwort_items WHERE thread = $1 AND id = $2"
	addStatement = `
		INSERT INTO antwort_items (thread, seq, id, batch, data)
		SELECT $1, $2 + n - 1, id, $3, data FROM unnest($4::text[], $5::bytea[]) WITH ORDINALITY AS new (id, data, n)
		ON CONFLICT DO NOTHING RETURNING id`

	advanceStatement = `
		UPDATE antwort_threads SET next_seq = next_seq + $2, bytes = bytes + $3, turns = turns + $4, expires = CASE
			WHEN $5::bigint IS NULL THEN NULL
			WHEN expires BETWEEN $5::bigint AND $5::bigint + $6::bigint THEN expires
			ELSE $5::bigint + $6::bigint END,
			locked_by = CASE WHEN locked_by = $7 THEN NULL ELSE locked_by END WHERE id = $1`

	joinStatement = `
		INSERT INTO antwort_responses (id, owner, thread, depth, status, flags, created, cut, input, output, shell)
		VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`

	conversationQuery  = "SELECT created, metadata FROM antwort_threads WHERE id = $1 AND owner = $2 AND kind = 1"
	metadataStatement  = "UPDATE antwort_threads SET bytes = bytes - octet_length(metadata) + octet_length($2::bytea), metadata = $2 WHERE id = $1"
	removeItem         = "DELETE FROM antwort_items WHERE thread = $1 AND id = $2 RETURNING octet_length(data)"
	loseStatement      = "UPDATE antwort_threads SET bytes = bytes - $2 WHERE id = $1"
	lockStatement      = "UPDATE antwort_threads SET locked_by = $2, locked_until = " + clock + " + $3 WHERE id = $1"
	unlockStatement    = "UPDATE antwort_threads SET locked_by = NULL WHERE id = $1"
	letGoStatement     = "UPDATE antwort_threads SET locked_by = NULL WHERE id = $1 AND locked_by = $2"
	dropStatement      = "DELETE FROM antwort_threads WHERE id = $1"
	conversationsQuery = "SELECT id FROM antwort_threads WHERE owner = $1 AND kind = 1 ORDER BY created, id"

	// The conversation is there where a row is; without an item it has NULL.
	itemQuery = `
		SELECT i.data FROM antwort_threads t LEFT JOIN antwort_items i ON i.thread = t.id AND i.id = $3
		WHERE t.id = $1 AND t.owner = $2 AND t.kind = 1`
	afterQuery = `
		SELECT i.seq FROM antwort_threads t LEFT JOIN antwort_items i ON i.thread = t.id AND i.id = $3
		WHERE t.id = $1 AND t.owner = $2 AND t.kind = 1`
	ascendingQuery = `
		SELECT i.id, i.data FROM antwort_items i JOIN antwort_threads t ON t.id = i.thread
		WHERE t.id = $1 AND t.owner = $2 AND t.kind = 1 AND ($3::bigint IS NULL OR i.seq > $3::bigint) ORDER BY i.seq LIMIT $4`
	descendingQuery = `
		SELECT i.id, i.data FROM antwort_items i JOIN antwort_threads t ON t.id = i.thread
		WHERE t.id = $1 AND t.owner = $2 AND t.kind = 1 AND ($3::bigint IS NULL OR i.seq < $3::bigint) ORDER BY i.seq DESC LIMIT $4`
)

// found is a conversation as a transaction sees it that changes it.
type found struct {
	created  int64
	metadata []byte
	next     int64
	holder   string
	holds    bool // the lock has not lapsed
}

func (f *found) locked(holder string) bool { return f.holder != "" && f.holder != holder && f.holds }

func (f *found) info(texts *packed.Packer, owner state.Owner, id string) (*state.Conversation, error) {
	metadata, err := texts.Unpack(metadataAt(owner, id), f.metadata)
	if err != nil {
		return nil, err
	}
	return &state.Conversation{ID: id, Owner: owner, Created: time.UnixMilli(f.created), Metadata: metadata}, nil
}

func metadataAt(owner state.Owner, id string) packed.Place {
	return packed.Place{Owner: owner, ID: id, Column: packed.Metadata}
}

// change does something with a conversation that is there, in one transaction.
func (s *Store) change(ctx context.Context, owner state.Owner, id string, do func(pgx.Tx, *found) error) error {
	if !state.IsID(id) {
		return state.ErrNotFound
	}
	return s.transact(ctx, func(tx pgx.Tx) error {
		f, err := find(ctx, tx, owner, id)
		if err != nil {
			return err
		}
		return do(tx, f)
	})
}

// find returns a conversation, which nobody else changes until the transaction ends.
func find(ctx context.Context, tx pgx.Tx, owner state.Owner, id string) (*found, error) {
	f := new(found)
	err := tx.QueryRow(ctx, findQuery, id, owner[:]).Scan(&f.created, &f.metadata, &f.next, &f.holder, &f.holds)
	if errors.Is(err, pgx.ErrNoRows) {
		err = state.ErrNotFound
	}
	return f, err
}

// add adds a batch, and says how many bytes that was.
func (s *Store) add(ctx context.Context, tx pgx.Tx, owner state.Owner, id string, next int64, b *state.Batch) (size int64, err error) {
	if len(b.Items) == 0 {
		return 0, nil
	}
	ids, data := make([]string, len(b.Items)), make([][]byte, len(b.Items))
	for i, item := range s.texts.PackItems(owner, id, b.Items) {
		ids[i], data[i] = item.ID, item.Data
		size += int64(len(data[i]))
	}
	rows, err := tx.Query(ctx, addStatement, id, next, b.ID, ids, data)
	if err != nil {
		return 0, err
	}
	added, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(added) == len(ids) {
		return size, err
	}
	there := map[string]bool{}
	for _, a := range added {
		there[a] = true
	}
	for _, i := range ids { // the first one that is not added, or that comes again
		if !there[i] {
			return 0, &state.DuplicateError{ID: i}
		}
		there[i] = false
	}
	return 0, state.ErrDuplicate
}

// added reports whether a batch was added before.
func added(ctx context.Context, tx pgx.Tx, id string, b *state.Batch) (bool, error) {
	if len(b.Items) == 0 {
		return false, nil
	}
	var batch string
	err := tx.QueryRow(ctx, batchQuery, id, b.Items[0].ID).Scan(&batch)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return batch == b.ID, err
}

// advance counts what was added, and lets go of the holder's lock.
func (s *Store) advance(ctx context.Context, tx pgx.Tx, id string, b *state.Batch, bytes int64, turns int, holder string) error {
	var expires *int64
	if b.TTL > 0 {
		at := s.now().Add(b.TTL).UnixMilli()
		expires = &at
	}
	_, err := tx.Exec(ctx, advanceStatement, id, len(b.Items), bytes, turns, expires, b.Slack().Milliseconds(), holder)
	return err
}

// CreateConversation keeps a new conversation.
func (s *Store) CreateConversation(ctx context.Context, c *state.Conversation, first state.Batch) error {
	if !state.IsID(c.ID) {
		return state.ErrNotFound
	}
	return s.transact(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, createStatement, c.ID, c.Owner[:], c.Created.UnixMilli(), s.texts.Pack(metadataAt(c.Owner, c.ID), c.Metadata))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return notCreated(ctx, tx, c)
		}
		size, err := s.add(ctx, tx, c.Owner, c.ID, 0, &first)
		if err != nil {
			return err
		}
		return s.advance(ctx, tx, c.ID, &first, size, 0, "")
	})
}

// notCreated says why a conversation was not.
func notCreated(ctx context.Context, tx pgx.Tx, c *state.Conversation) error {
	var owner []byte
	var kind int
	var created int64
	if err := tx.QueryRow(ctx, createdQuery, c.ID).Scan(&owner, &kind, &created); err != nil {
		return err
	}
	if state.Owner(owner) == c.Owner && kind == 1 && created == c.Created.UnixMilli() {
		return nil
	}
	return state.ErrConflict
}

// GetConversation returns what is known of a conversation.
func (s *Store) GetConversation(ctx context.Context, owner state.Owner, id string) (*state.Conversation, error) {
	if !state.IsID(id) {
		return nil, state.ErrNotFound
	}
	var c *state.Conversation
	err := s.read(ctx, conversationQuery, func(rows pgx.Rows) (err error) {
		for rows.Next() {
			var f found
			if err := rows.Scan(&f.created, &f.metadata); err != nil {
				return unavailable(ctx, err)
			}
			if c, err = f.info(s.texts, owner, id); err != nil {
				return err
			}
		}
		return nil
	}, id, owner[:])
	if err == nil && c == nil {
		err = state.ErrNotFound
	}
	return c, err
}

// SetMetadata replaces the metadata.
func (s *Store) SetMetadata(ctx context.Context, owner state.Owner, id string, metadata []byte) (c *state.Conversation, err error) {
	err = s.change(ctx, owner, id, func(tx pgx.Tx, f *found) (err error) {
		f.metadata = s.texts.Pack(metadataAt(owner, id), metadata)
		if c, err = f.info(s.texts, owner, id); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, metadataStatement, id, f.metadata)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// DeleteConversation removes a conversation.
func (s *Store) DeleteConversation(ctx context.Context, owner state.Owner, id string) error {
	return s.change(ctx, owner, id, func(tx pgx.Tx, _ *found) error {
		_, err := tx.Exec(ctx, dropStatement, id)
		return err
	})
}

// Items returns items of a conversation.
func (s *Store) Items(ctx context.Context, owner state.Owner, id string, span state.Span) (items []state.Item, more bool, err error) {
	after, err := s.after(ctx, owner, id, span.After)
	if err != nil {
		return nil, false, err
	}
	query, limit := descendingQuery, (*int)(nil)
	if span.Ascending {
		query = ascendingQuery
	}
	if span.Limit > 0 {
		n := span.Limit + 1
		limit = &n
	}
	var take state.Taking
	err = s.read(ctx, query, func(rows pgx.Rows) error {
		take, more = state.Taking{Span: span}, false
		for rows.Next() && !more {
			var item state.Item
			var data []byte
			if err := rows.Scan(&item.ID, &data); err != nil {
				return unavailable(ctx, err)
			}
			opened, err := s.texts.Open(packed.ItemAt(owner, id, item.ID), data)
			if err != nil {
				return err
			}
			size, err := opened.Size()
			if err != nil {
				return err
			}
			if more = !take.Room(size); more {
				break
			}
			if item.Data, err = opened.Text(); err != nil {
				return err
			}
			take.Items = append(take.Items, item)
		}
		return nil
	}, id, owner[:], after, limit)
	if err != nil {
		return nil, false, err
	}
	return take.Items, more, nil
}

// after is where the item of an id stands; nil without one. It says too whether the
// conversation is there.
func (s *Store) after(ctx context.Context, owner state.Owner, id, item string) (seq *int64, err error) {
	if !state.IsID(id) {
		return nil, state.ErrNotFound
	}
	there := false
	err = s.read(ctx, afterQuery, func(rows pgx.Rows) error {
		for rows.Next() {
			if there = true; rows.Scan(&seq) != nil {
				return unavailable(ctx, rows.Err())
			}
		}
		return nil
	}, id, owner[:], item)
	switch {
	case err != nil:
		return nil, err
	case !there:
		return nil, state.ErrNotFound
	case seq == nil && item != "":
		return nil, state.ErrNoItem
	}
	return seq, nil
}

// Item returns one item.
func (s *Store) Item(ctx context.Context, owner state.Owner, id, item string) (data []byte, err error) {
	if !state.IsID(id) {
		return nil, state.ErrNotFound
	}
	there := false
	err = s.read(ctx, itemQuery, func(rows pgx.Rows) error {
		for rows.Next() {
			there = true
			if err := rows.Scan(&data); err != nil {
				return unavailable(ctx, err)
			}
		}
		return nil
	}, id, owner[:], item)
	switch {
	case err != nil:
		return nil, err
	case !there:
		return nil, state.ErrNotFound
	case data == nil:
		return nil, state.ErrNoItem
	}
	return s.texts.Unpack(packed.ItemAt(owner, id, item), data)
}

// AddItems adds items at the end.
func (s *Store) AddItems(ctx context.Context, owner state.Owner, id string, b state.Batch) error {
	return s.change(ctx, owner, id, func(tx pgx.Tx, f *found) error {
		if known, err := added(ctx, tx, id, &b); known || err != nil {
			return err
		}
		if f.locked("") {
			return state.ErrLocked
		}
		size, err := s.add(ctx, tx, owner, id, f.next, &b)
		if err != nil {
			return err
		}
		return s.advance(ctx, tx, id, &b, size, 0, "")
	})
}

// DeleteItem removes one item.
func (s *Store) DeleteItem(ctx context.Context, owner state.Owner, id, item string) (c *state.Conversation, err error) {
	err = s.change(ctx, owner, id, func(tx pgx.Tx, f *found) (err error) {
		if f.locked("") {
			return state.ErrLocked
		}
		var size int64
		err = tx.QueryRow(ctx, removeItem, id, item).Scan(&size)
		if errors.Is(err, pgx.ErrNoRows) {
			return state.ErrNoItem
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, loseStatement, id, size); err != nil {
			return err
		}
		c, err = f.info(s.texts, owner, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Lock locks the conversation for a holder.
func (s *Store) Lock(ctx context.Context, owner state.Owner, id, holder string, lease time.Duration) error {
	return s.change(ctx, owner, id, func(tx pgx.Tx, f *found) error {
		if f.locked(holder) {
			return state.ErrLocked
		}
		_, err := tx.Exec(ctx, lockStatement, id, holder, lease.Milliseconds())
		return err
	})
}

// RenewLock lets the holder's lock be valid for longer.
func (s *Store) RenewLock(ctx context.Context, owner state.Owner, id, holder string, lease time.Duration) error {
	return s.change(ctx, owner, id, func(tx pgx.Tx, f *found) error {
		if f.holder != holder {
			return state.ErrLost
		}
		_, err := tx.Exec(ctx, lockStatement, id, holder, lease.Milliseconds())
		return err
	})
}

// Unlock gives the lock back.
func (s *Store) Unlock(ctx context.Context, owner state.Owner, id, holder string) error {
	return s.change(ctx, owner, id, func(tx pgx.Tx, f *found) error {
		if f.holder != holder {
			return nil
		}
		_, err := tx.Exec(ctx, unlockStatement, id)
		return err
	})
}

// ConversationIDs are those of an owner's conversations.
func (s *Store) ConversationIDs(ctx context.Context, owner state.Owner) (ids []string, err error) {
	err = s.read(ctx, conversationsQuery, func(rows pgx.Rows) (err error) {
		if ids, err = pgx.AppendRows(ids[:0], rows, pgx.RowTo[string]); err != nil {
			return unavailable(ctx, err)
		}
		return nil
	}, owner[:])
	return ids, err
}

// join keeps a response of a conversation, adds its items, and unlocks.
func (s *Store) join(ctx context.Context, r *state.Record) error {
	b, id := r.Batch(), r.Joins.Conversation
	return s.change(ctx, r.Owner, id, func(tx pgx.Tx, f *found) error {
		bytes, turns := int64(0), 0
		if r.Joins.Discard {
			if known, err := added(ctx, tx, id, &b); known || err != nil {
				return err
			}
		} else {
			var err error
			if bytes, err = s.insertJoined(ctx, tx, r); errors.Is(err, errKnown) {
				return notInserted(ctx, tx, r)
			}
			if err != nil {
				return err
			}
			turns = 1
		}
		return s.addJoined(ctx, tx, r, f, bytes, turns)
	})
}

// errKnown is that there is a response of this id.
var errKnown = errors.New("the response is there")

// insertJoined inserts a response of a conversation, and says how many bytes that was.
func (s *Store) insertJoined(ctx context.Context, tx pgx.Tx, r *state.Record) (size int64, err error) {
	input, output, shell := s.texts.PackRecord(r)
	tag, err := tx.Exec(ctx, joinStatement, r.ID, r.Owner[:], r.Joins.Conversation, int16(r.Status), int16(r.Flags), r.Created.UnixMilli(), r.Cut, input, output, shell)
	if err == nil && tag.RowsAffected() == 0 {
		err = errKnown
	}
	return int64(len(input) + len(output) + len(shell)), err
}

// addJoined adds the items of a response to its conversation, counts what else is new, and
// unlocks.
func (s *Store) addJoined(ctx context.Context, tx pgx.Tx, r *state.Record, f *found, bytes int64, turns int) error {
	b, id := r.Batch(), r.Joins.Conversation
	if f.holder != r.Joins.Holder && len(b.Items) > 0 {
		return state.ErrLost
	}
	size, err := s.add(ctx, tx, r.Owner, id, f.next, &b)
	if err != nil {
		return err
	}
	return s.advance(ctx, tx, id, &b, bytes+size, turns, r.Joins.Holder)
}
