package memory

import (
	"context"
	"slices"
	"strings"
	"time"

	"antwort/server/state"
)

// conversation is what a thread has more that is one.
type conversation struct {
	metadata []byte
	items    []*item // in their order
	byID     map[string]*item
	holder   string // of the lock; "": nobody
	until    int64  // when the lock lapses, in milliseconds
}

// item is one item and where it is.
type item struct {
	id, batch string
	size      int
	at        []uint32 // blocks
}

// itemOverhead is what an item takes beside its content, in bytes.
const itemOverhead = 512

func (i *item) cost() int64 { return itemCost(i.size) }

func itemCost(size int) int64 { return int64(blocksFor(size))*(blockSize+4) + itemOverhead }

// conversationCost is what a conversation takes beside its items.
func conversationCost(metadata []byte) int64 { return overhead + int64(len(metadata)) }

// locked reports whether somebody else has the lock by now.
func (c *conversation) locked(holder string, now int64) bool {
	return c.holder != "" && c.holder != holder && now < c.until
}

// conversed finds an owner's conversation with the store locked; s.mu is held when the
// error is nil.
func (s *Store) conversed(ctx context.Context, owner state.Owner, id string) (*thread, error) {
	if !state.IsID(id) {
		return nil, state.ErrNotFound
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if t := s.conversations[id]; t != nil && t.owner == owner {
		s.used(t)
		return t, nil
	}
	s.mu.Unlock()
	return nil, state.ErrNotFound
}

// CreateConversation keeps a new conversation.
func (s *Store) CreateConversation(ctx context.Context, c *state.Conversation, first state.Batch) error {
	if !state.IsID(c.ID) {
		return state.ErrNotFound
	}
	if err := s.open(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if t := s.conversations[c.ID]; t != nil {
		if t.owner == c.Owner && t.created == c.Created.UnixMilli() {
			return nil // it was kept before
		}
		return state.ErrConflict
	}
	t := &thread{id: strings.Clone(c.ID), owner: c.Owner, created: c.Created.UnixMilli(), heap: -1}
	t.conversation = &conversation{metadata: slices.Clone(c.Metadata), byID: map[string]*item{}}
	need := conversationCost(c.Metadata)
	more, err := t.conversation.fits(first)
	if err != nil {
		return err
	}
	if !s.room(t, need+more) {
		return state.ErrTooLarge
	}
	s.begin(t)
	s.conversations[t.id] = t
	s.owners[t.owner].conversations++
	s.account(t, 0, need)
	s.add(t, first)
	s.touch(t, first.TTL)
	return nil
}

// fits is what a batch would take, or why it cannot be added.
func (c *conversation) fits(b state.Batch) (need int64, err error) {
	seen := make(map[string]struct{}, len(b.Items))
	for _, i := range b.Items {
		_, twice := seen[i.ID]
		if twice || c.byID[i.ID] != nil {
			return 0, &state.DuplicateError{ID: i.ID}
		}
		seen[i.ID] = struct{}{}
		need += itemCost(len(i.Data))
	}
	return need, nil
}

// added reports whether a batch was added before.
func (c *conversation) added(b state.Batch) bool {
	if len(b.Items) == 0 {
		return false
	}
	first := c.byID[b.Items[0].ID]
	return first != nil && first.batch == b.ID
}

// add adds a batch for which there is room.
func (s *Store) add(t *thread, b state.Batch) {
	c, batch := t.conversation, strings.Clone(b.ID)
	for _, i := range b.Items {
		it := &item{id: strings.Clone(i.ID), batch: batch, size: len(i.Data), at: s.blocks.write(i.Data)}
		c.items = append(c.items, it)
		c.byID[it.id] = it
		s.account(t, 0, it.cost())
	}
}

func (t *thread) info() *state.Conversation {
	c := t.conversation
	return &state.Conversation{ID: t.id, Owner: t.owner, Created: time.UnixMilli(t.created), Metadata: slices.Clone(c.metadata)}
}

// GetConversation returns what is known of a conversation.
func (s *Store) GetConversation(ctx context.Context, owner state.Owner, id string) (*state.Conversation, error) {
	t, err := s.conversed(ctx, owner, id)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return t.info(), nil
}

// SetMetadata replaces the metadata.
func (s *Store) SetMetadata(ctx context.Context, owner state.Owner, id string, metadata []byte) (*state.Conversation, error) {
	t, err := s.conversed(ctx, owner, id)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	more := conversationCost(metadata) - conversationCost(t.conversation.metadata)
	if more > 0 && !s.room(t, more) {
		return nil, state.ErrTooLarge
	}
	s.account(t, 0, more)
	t.conversation.metadata = slices.Clone(metadata)
	return t.info(), nil
}

// DeleteConversation removes a conversation.
func (s *Store) DeleteConversation(ctx context.Context, owner state.Owner, id string) error {
	t, err := s.conversed(ctx, owner, id)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.drop(t)
	return nil
}

// Items returns items of a conversation.
func (s *Store) Items(ctx context.Context, owner state.Owner, id string, span state.Span) (items []state.Item, more bool, err error) {
	t, err := s.conversed(ctx, owner, id)
	if err != nil {
		return nil, false, err
	}
	defer s.mu.Unlock()
	all := t.conversation.items
	at := func(i int) *item {
		if span.Ascending {
			return all[i]
		}
		return all[len(all)-1-i]
	}
	next := 0
	if span.After != "" {
		after := t.conversation.byID[span.After]
		if after == nil {
			return nil, false, state.ErrNoItem
		}
		for at(next) != after {
			next++
		}
		next++
	}
	take := state.Taking{Span: span}
	for ; next < len(all); next++ {
		it := at(next)
		if !take.Room(it.size) {
			return take.Items, true, nil
		}
		take.Items = append(take.Items, state.Item{ID: it.id, Data: s.blocks.read(it.at, it.size)})
	}
	return take.Items, false, nil
}

// Item returns one item.
func (s *Store) Item(ctx context.Context, owner state.Owner, id, item string) ([]byte, error) {
	t, err := s.conversed(ctx, owner, id)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	it := t.conversation.byID[item]
	if it == nil {
		return nil, state.ErrNoItem
	}
	return s.blocks.read(it.at, it.size), nil
}

// AddItems adds items at the end.
func (s *Store) AddItems(ctx context.Context, owner state.Owner, id string, b state.Batch) error {
	t, err := s.conversed(ctx, owner, id)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	c := t.conversation
	if c.added(b) {
		return nil
	}
	if c.locked("", s.now().UnixMilli()) {
		return state.ErrLocked
	}
	need, err := c.fits(b)
	if err != nil {
		return err
	}
	if !s.room(t, need) {
		return state.ErrTooLarge
	}
	s.add(t, b)
	s.touch(t, b.TTL)
	return nil
}

// DeleteItem removes one item.
func (s *Store) DeleteItem(ctx context.Context, owner state.Owner, id, item string) (*state.Conversation, error) {
	t, err := s.conversed(ctx, owner, id)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	c := t.conversation
	if c.locked("", s.now().UnixMilli()) {
		return nil, state.ErrLocked
	}
	it := c.byID[item]
	if it == nil {
		return nil, state.ErrNoItem
	}
	at := slices.Index(c.items, it)
	c.items = slices.Delete(c.items, at, at+1)
	s.removeItem(t, it)
	return t.info(), nil
}

func (s *Store) removeItem(t *thread, it *item) {
	s.blocks.free(it.at)
	delete(t.conversation.byID, it.id)
	s.account(t, 0, -it.cost())
}

// Lock locks the conversation for a holder.
func (s *Store) Lock(ctx context.Context, owner state.Owner, id, holder string, lease time.Duration) error {
	t, err := s.conversed(ctx, owner, id)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	now := s.now()
	if t.conversation.locked(holder, now.UnixMilli()) {
		return state.ErrLocked
	}
	t.conversation.holder, t.conversation.until = holder, now.Add(lease).UnixMilli()
	return nil
}

// RenewLock lets the holder's lock be valid for longer.
func (s *Store) RenewLock(ctx context.Context, owner state.Owner, id, holder string, lease time.Duration) error {
	t, err := s.conversed(ctx, owner, id)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if t.conversation.holder != holder {
		return state.ErrLost
	}
	t.conversation.until = s.now().Add(lease).UnixMilli()
	return nil
}

// Unlock gives the lock back.
func (s *Store) Unlock(ctx context.Context, owner state.Owner, id, holder string) error {
	t, err := s.conversed(ctx, owner, id)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if t.conversation.holder == holder {
		t.conversation.holder = ""
	}
	return nil
}

// ConversationIDs are those of an owner's conversations.
func (s *Store) ConversationIDs(ctx context.Context, owner state.Owner) ([]string, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var all []*thread
	if o := s.owners[owner]; o != nil {
		for t := range o.threads {
			if t.conversation != nil {
				all = append(all, t)
			}
		}
	}
	slices.SortFunc(all, func(a, b *thread) int { return a.place().Compare(b.place()) })
	ids := make([]string, len(all))
	for i, t := range all {
		ids[i] = t.id
	}
	return ids, nil
}

// join keeps a response of a conversation, adds its items, and unlocks.
func (s *Store) join(rec *state.Record) error {
	t := s.conversations[rec.Joins.Conversation]
	if t == nil || t.owner != rec.Owner {
		return state.ErrNotFound
	}
	c, batch := t.conversation, rec.Batch()
	if rec.Joins.Discard && c.added(batch) {
		return nil // it was kept before
	}
	if c.holder != rec.Joins.Holder && len(batch.Items) > 0 {
		return state.ErrLost
	}
	need, err := c.fits(batch)
	if err != nil {
		return err
	}
	s.used(t)
	if rec.Joins.Discard {
		if !s.room(t, need) {
			return state.ErrTooLarge
		}
		s.touch(t, rec.TTL)
	} else if _, err := s.keep(rec, need); err != nil {
		return err
	}
	s.add(t, batch)
	if c.holder == rec.Joins.Holder {
		c.holder = ""
	}
	return nil
}
