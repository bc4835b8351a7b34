package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"antwort/server/state"
	"antwort/server/state/packed"
)

// conversationStatements are those of the writer for conversations.
type conversationStatements struct {
	create, known, find, batch, add, advance, kept, metadata, drop, removeItem, lose, lock, renew, unlock *sql.Stmt
}

func (s *conversationStatements) all() map[**sql.Stmt]string {
	return map[**sql.Stmt]string{
		&s.create: `INSERT INTO threads (id, owner, created, expires, bytes, turns, kind, metadata) VALUES (?1, ?2, ?3, NULL, length(?4), 0, 1, ?4)
			ON CONFLICT DO NOTHING`,
		&s.known: "SELECT owner, kind, created FROM threads WHERE id = ?",
		&s.find:  "SELECT created, metadata, next_seq, coalesce(locked_by, ''), coalesce(locked_until, 0) FROM threads WHERE id = ? AND owner = ? AND kind = 1",
		&s.batch: "SELECT batch FROM items WHERE thread = ? AND id = ?",
		&s.add:   "INSERT INTO items (thread, seq, id, batch, data) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		&s.advance: `UPDATE threads SET next_seq = next_seq + ?2, bytes = bytes + ?3, turns = turns + ?4,
			expires = CASE WHEN ?5 IS NULL THEN NULL WHEN expires BETWEEN ?5 AND ?5 + ?6 THEN expires ELSE ?5 + ?6 END,
			locked_by = CASE WHEN locked_by = ?7 THEN NULL ELSE locked_by END WHERE id = ?1`,
		&s.kept: `INSERT INTO responses (id, owner, thread, depth, status, flags, created, cut, input, output, shell)
			VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING`,
		&s.metadata:   "UPDATE threads SET bytes = bytes - length(metadata) + length(?3), metadata = ?3 WHERE id = ?1 AND owner = ?2 AND kind = 1",
		&s.drop:       "DELETE FROM threads WHERE id = ? AND owner = ? AND kind = 1",
		&s.removeItem: "DELETE FROM items WHERE thread = ? AND id = ? RETURNING length(data)",
		&s.lose:       "UPDATE threads SET bytes = bytes - ?2 WHERE id = ?1",
		&s.lock:       "UPDATE threads SET locked_by = ?2, locked_until = ?3 WHERE id = ?1",
		&s.renew:      "UPDATE threads SET locked_until = ?4 WHERE id = ?1 AND owner = ?2 AND locked_by = ?3",
		&s.unlock:     "UPDATE threads SET locked_by = NULL WHERE id = ?1 AND owner = ?2 AND locked_by = ?3",
	}
}

// conversationReads are those of the readers.
const (
	conversationQuery   = "SELECT created, metadata FROM threads WHERE id = ? AND owner = ? AND kind = 1"
	itemQuery           = "SELECT data FROM items WHERE thread = ? AND id = ?"
	conversationIDQuery = "SELECT id FROM threads WHERE owner = ? AND kind = 1 ORDER BY created, id"
	afterQuery          = "SELECT seq FROM items WHERE thread = ? AND id = ?"
	ascendingQuery      = "SELECT id, data FROM items WHERE thread = ?1 AND (?2 IS NULL OR seq > ?2) ORDER BY seq LIMIT ?3"
	descendingQuery     = "SELECT id, data FROM items WHERE thread = ?1 AND (?2 IS NULL OR seq < ?2) ORDER BY seq DESC LIMIT ?3"
)

// found is a conversation as the writer sees it.
type found struct {
	created  int64
	metadata []byte
	next     int64
	holder   string
	until    int64
}

func (f *found) locked(holder string, now int64) bool {
	return f.holder != "" && f.holder != holder && now < f.until
}

func (f *found) info(texts *packed.Packer, owner state.Owner, id string) (*state.Conversation, error) {
	metadata, err := texts.Unpack(metadataAt(owner, id), f.metadata)
	if err != nil {
		return nil, err
	}
	return &state.Conversation{ID: id, Owner: owner, Created: time.UnixMilli(f.created), Metadata: metadata}, nil
}

// find returns a conversation, or ErrNotFound.
func (w *writer) find(ctx context.Context, owner state.Owner, id string) (*found, error) {
	f := new(found)
	err := w.conversations.find.QueryRowContext(ctx, id, owner[:]).Scan(&f.created, &f.metadata, &f.next, &f.holder, &f.until)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, state.ErrNotFound
	case err != nil:
		return nil, broken(err)
	}
	return f, nil
}

// change has something done with a conversation that is there: all of it, or nothing.
func (s *Store) change(ctx context.Context, owner state.Owner, id string, do func(context.Context, *writer, *found) error) error {
	if !state.IsID(id) {
		return state.ErrNotFound
	}
	return s.writer.write(ctx, func(ctx context.Context, w *writer) error {
		f, err := w.find(ctx, owner, id)
		if err != nil {
			return err
		}
		return w.wholly(ctx, func() error { return do(ctx, w, f) })
	})
}

// wholly does something of which nothing is left when it fails, as others share the
// transaction.
func (w *writer) wholly(ctx context.Context, do func() error) error {
	if err := w.exec(ctx, "SAVEPOINT one"); err != nil {
		return err
	}
	err := do()
	if err != nil && !errors.Is(err, errBroken) {
		if undone := w.exec(ctx, "ROLLBACK TO one"); undone != nil {
			return undone
		}
	}
	if released := w.exec(ctx, "RELEASE one"); released != nil {
		return released
	}
	return err
}

func metadataAt(owner state.Owner, id string) packed.Place {
	return packed.Place{Owner: owner, ID: id, Column: packed.Metadata}
}

// packedBatch is a batch as it is written, perhaps after the caller has left.
func (s *Store) packedBatch(owner state.Owner, id string, b state.Batch) state.Batch {
	b.Items = s.texts.PackItems(owner, id, b.Items)
	return b
}

// add adds a packed batch, and says how many bytes that was.
func (w *writer) add(ctx context.Context, id string, next int64, b *state.Batch) (size int64, err error) {
	for i, item := range b.Items {
		n, err := inserted(w.conversations.add.ExecContext(ctx, id, next+int64(i), item.ID, b.ID, item.Data))
		if err != nil {
			return 0, err
		}
		if n == 0 {
			return 0, &state.DuplicateError{ID: item.ID}
		}
		size += int64(len(item.Data))
	}
	return size, nil
}

// added reports whether a batch was added before.
func (w *writer) added(ctx context.Context, id string, b *state.Batch) (bool, error) {
	if len(b.Items) == 0 {
		return false, nil
	}
	var batch string
	err := w.conversations.batch.QueryRowContext(ctx, id, b.Items[0].ID).Scan(&batch)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, broken(err)
	}
	return batch == b.ID, nil
}

// advance counts what was added, and lets go of the holder's lock.
func (w *writer) advance(ctx context.Context, id string, b *state.Batch, bytes int64, turns int, holder string) error {
	var expires any
	if b.TTL > 0 {
		expires = w.now().Add(b.TTL).UnixMilli()
	}
	_, err := w.conversations.advance.ExecContext(ctx, id, len(b.Items), bytes, turns, expires, b.Slack().Milliseconds(), holder)
	return broken(err)
}

// CreateConversation keeps a new conversation.
func (s *Store) CreateConversation(ctx context.Context, c *state.Conversation, first state.Batch) error {
	if !state.IsID(c.ID) {
		return state.ErrNotFound
	}
	first, metadata, head := s.packedBatch(c.Owner, c.ID, first), s.texts.Pack(metadataAt(c.Owner, c.ID), c.Metadata), *c
	return s.writer.write(ctx, func(ctx context.Context, w *writer) error {
		return w.wholly(ctx, func() error {
			n, err := inserted(w.conversations.create.ExecContext(ctx, head.ID, head.Owner[:], head.Created.UnixMilli(), metadata))
			if err != nil {
				return err
			}
			if n == 0 {
				return w.notCreated(ctx, &head)
			}
			size, err := w.add(ctx, head.ID, 0, &first)
			if err != nil {
				return err
			}
			return w.advance(ctx, head.ID, &first, size, 0, "")
		})
	})
}

// notCreated says why a conversation was not.
func (w *writer) notCreated(ctx context.Context, c *state.Conversation) error {
	var owner []byte
	var kind int
	var created int64
	if err := w.conversations.known.QueryRowContext(ctx, c.ID).Scan(&owner, &kind, &created); err != nil {
		return broken(err)
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
	var f found
	err := s.read.conversation.QueryRowContext(ctx, id, owner[:]).Scan(&f.created, &f.metadata)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, state.ErrNotFound
	case err != nil:
		return nil, unavailable(ctx, err)
	}
	return f.info(s.texts, owner, id)
}

// SetMetadata replaces the metadata.
func (s *Store) SetMetadata(ctx context.Context, owner state.Owner, id string, metadata []byte) (c *state.Conversation, err error) {
	text := s.texts.Pack(metadataAt(owner, id), metadata)
	var set *state.Conversation
	err = s.change(ctx, owner, id, func(ctx context.Context, w *writer, f *found) (err error) {
		f.metadata = text
		if set, err = f.info(s.texts, owner, id); err != nil {
			return err
		}
		_, err = w.conversations.metadata.ExecContext(ctx, id, owner[:], text)
		return broken(err)
	})
	if err != nil {
		return nil, err
	}
	return set, nil
}

// DeleteConversation removes a conversation.
func (s *Store) DeleteConversation(ctx context.Context, owner state.Owner, id string) error {
	return s.change(ctx, owner, id, func(ctx context.Context, w *writer, _ *found) error {
		_, err := w.conversations.drop.ExecContext(ctx, id, owner[:])
		return broken(err)
	})
}

// Items returns items of a conversation.
func (s *Store) Items(ctx context.Context, owner state.Owner, id string, span state.Span) (items []state.Item, more bool, err error) {
	if _, err := s.GetConversation(ctx, owner, id); err != nil {
		return nil, false, err
	}
	var after any
	if span.After != "" {
		var seq int64
		err := s.read.after.QueryRowContext(ctx, id, span.After).Scan(&seq)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return nil, false, state.ErrNoItem
		case err != nil:
			return nil, false, unavailable(ctx, err)
		}
		after = seq
	}
	query, limit := s.read.descending, -1
	if span.Ascending {
		query = s.read.ascending
	}
	if span.Limit > 0 {
		limit = span.Limit + 1
	}
	rows, err := query.QueryContext(ctx, id, after, limit)
	if err != nil {
		return nil, false, unavailable(ctx, err)
	}
	defer func() { _ = rows.Close() }()
	take := state.Taking{Span: span}
	for rows.Next() {
		var item state.Item
		var data []byte
		if err := rows.Scan(&item.ID, &data); err != nil {
			return nil, false, unavailable(ctx, err)
		}
		opened, err := s.texts.Open(packed.ItemAt(owner, id, item.ID), data)
		if err != nil {
			return nil, false, err
		}
		size, err := opened.Size()
		if err != nil {
			return nil, false, err
		}
		if !take.Room(size) {
			return take.Items, true, nil
		}
		if item.Data, err = opened.Text(); err != nil {
			return nil, false, err
		}
		take.Items = append(take.Items, item)
	}
	if err := rows.Err(); err != nil {
		return nil, false, unavailable(ctx, err)
	}
	return take.Items, false, nil
}

// Item returns one item.
func (s *Store) Item(ctx context.Context, owner state.Owner, id, item string) ([]byte, error) {
	if _, err := s.GetConversation(ctx, owner, id); err != nil {
		return nil, err
	}
	var data []byte
	err := s.read.item.QueryRowContext(ctx, id, item).Scan(&data)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, state.ErrNoItem
	case err != nil:
		return nil, unavailable(ctx, err)
	}
	return s.texts.Unpack(packed.ItemAt(owner, id, item), data)
}

// AddItems adds items at the end.
func (s *Store) AddItems(ctx context.Context, owner state.Owner, id string, b state.Batch) error {
	b = s.packedBatch(owner, id, b)
	return s.change(ctx, owner, id, func(ctx context.Context, w *writer, f *found) error {
		if known, err := w.added(ctx, id, &b); known || err != nil {
			return err
		}
		if f.locked("", w.now().UnixMilli()) {
			return state.ErrLocked
		}
		size, err := w.add(ctx, id, f.next, &b)
		if err != nil {
			return err
		}
		return w.advance(ctx, id, &b, size, 0, "")
	})
}

// DeleteItem removes one item.
func (s *Store) DeleteItem(ctx context.Context, owner state.Owner, id, item string) (*state.Conversation, error) {
	var left *state.Conversation
	err := s.change(ctx, owner, id, func(ctx context.Context, w *writer, f *found) (err error) {
		if f.locked("", w.now().UnixMilli()) {
			return state.ErrLocked
		}
		var size int64
		err = w.conversations.removeItem.QueryRowContext(ctx, id, item).Scan(&size)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return state.ErrNoItem
		case err != nil:
			return broken(err)
		}
		if _, err := w.conversations.lose.ExecContext(ctx, id, size); err != nil {
			return broken(err)
		}
		left, err = f.info(s.texts, owner, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return left, nil
}

// Lock locks the conversation for a holder.
func (s *Store) Lock(ctx context.Context, owner state.Owner, id, holder string, lease time.Duration) error {
	return s.change(ctx, owner, id, func(ctx context.Context, w *writer, f *found) error {
		now := w.now()
		if f.locked(holder, now.UnixMilli()) {
			return state.ErrLocked
		}
		_, err := w.conversations.lock.ExecContext(ctx, id, holder, now.Add(lease).UnixMilli())
		return broken(err)
	})
}

// RenewLock lets the holder's lock be valid for longer.
func (s *Store) RenewLock(ctx context.Context, owner state.Owner, id, holder string, lease time.Duration) error {
	return s.change(ctx, owner, id, func(ctx context.Context, w *writer, _ *found) error {
		n, err := inserted(w.conversations.renew.ExecContext(ctx, id, owner[:], holder, w.now().Add(lease).UnixMilli()))
		if err == nil && n == 0 {
			err = state.ErrLost
		}
		return err
	})
}

// Unlock gives the lock back.
func (s *Store) Unlock(ctx context.Context, owner state.Owner, id, holder string) error {
	return s.change(ctx, owner, id, func(ctx context.Context, w *writer, _ *found) error {
		_, err := w.conversations.unlock.ExecContext(ctx, id, owner[:], holder)
		return broken(err)
	})
}

// ConversationIDs are those of an owner's conversations.
func (s *Store) ConversationIDs(ctx context.Context, owner state.Owner) ([]string, error) {
	ids, err := texts(s.read.conversationIDs.QueryContext(ctx, owner[:]))
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	return ids, nil
}

// join keeps a response of a conversation, adds its items, and unlocks. The texts of
// the row and the batch are packed.
func (s *Store) join(ctx context.Context, r *state.Record, input, output, shell []byte) error {
	head, joins := *r, *r.Joins
	b := s.packedBatch(r.Owner, joins.Conversation, r.Batch())
	return s.change(ctx, head.Owner, joins.Conversation, func(ctx context.Context, w *writer, f *found) error {
		if joins.Discard {
			if known, err := w.added(ctx, joins.Conversation, &b); known || err != nil {
				return err
			}
		}
		bytes, turns := int64(0), 0
		if !joins.Discard {
			n, err := inserted(w.conversations.kept.ExecContext(ctx, head.ID, head.Owner[:], joins.Conversation, head.Status, head.Flags, head.Created.UnixMilli(), head.Cut,
				input, output, shell))
			if err != nil {
				return err
			}
			if n == 0 {
				return w.notInserted(ctx, &head)
			}
			bytes, turns = int64(len(input)+len(output)+len(shell)), 1
		}
		if f.holder != joins.Holder && len(b.Items) > 0 {
			return state.ErrLost
		}
		size, err := w.add(ctx, joins.Conversation, f.next, &b)
		if err != nil {
			return err
		}
		return w.advance(ctx, joins.Conversation, &b, bytes+size, turns, joins.Holder)
	})
}
