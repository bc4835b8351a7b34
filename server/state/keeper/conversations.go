package keeper

import (
	"context"
	"time"

	"antwort/server/state"
)

// CreateConversation is the store's, tried again.
func (k *Keeper) CreateConversation(ctx context.Context, c *state.Conversation, first state.Batch) error {
	return k.retryWrite(ctx, "create_conversation", func() error { return k.store.CreateConversation(ctx, c, first) })
}

// GetConversation is the store's.
func (k *Keeper) GetConversation(ctx context.Context, owner state.Owner, id string) (c *state.Conversation, err error) {
	defer func(start time.Time) { k.done("get_conversation", start, err) }(time.Now())
	return k.store.GetConversation(ctx, owner, id)
}

// SetMetadata is the store's.
func (k *Keeper) SetMetadata(ctx context.Context, owner state.Owner, id string, metadata []byte) (c *state.Conversation, err error) {
	defer func(start time.Time) { k.done("set_metadata", start, err) }(time.Now())
	return k.store.SetMetadata(ctx, owner, id, metadata)
}

// DeleteConversation is the store's.
func (k *Keeper) DeleteConversation(ctx context.Context, owner state.Owner, id string) (err error) {
	defer func(start time.Time) { k.done("delete_conversation", start, err) }(time.Now())
	return k.store.DeleteConversation(ctx, owner, id)
}

// Items is the store's.
func (k *Keeper) Items(ctx context.Context, owner state.Owner, id string, span state.Span) (items []state.Item, more bool, err error) {
	defer func(start time.Time) { k.done("items", start, err) }(time.Now())
	return k.store.Items(ctx, owner, id, span)
}

// Item is the store's.
func (k *Keeper) Item(ctx context.Context, owner state.Owner, id, item string) (data []byte, err error) {
	defer func(start time.Time) { k.done("item", start, err) }(time.Now())
	return k.store.Item(ctx, owner, id, item)
}

// AddItems is the store's, tried again.
func (k *Keeper) AddItems(ctx context.Context, owner state.Owner, id string, b state.Batch) error {
	return k.retryWrite(ctx, "add_items", func() error { return k.store.AddItems(ctx, owner, id, b) })
}

// DeleteItem is the store's.
func (k *Keeper) DeleteItem(ctx context.Context, owner state.Owner, id, item string) (c *state.Conversation, err error) {
	defer func(start time.Time) { k.done("delete_item", start, err) }(time.Now())
	return k.store.DeleteItem(ctx, owner, id, item)
}

// Lock is the store's.
func (k *Keeper) Lock(ctx context.Context, owner state.Owner, id, holder string, lease time.Duration) (err error) {
	defer func(start time.Time) { k.done("lock", start, err) }(time.Now())
	return k.store.Lock(ctx, owner, id, holder, lease)
}

// RenewLock is the store's, tried again.
func (k *Keeper) RenewLock(ctx context.Context, owner state.Owner, id, holder string, lease time.Duration) error {
	return k.retryWrite(ctx, "renew_lock", func() error { return k.store.RenewLock(ctx, owner, id, holder, lease) })
}

// Unlock is the store's, tried again.
func (k *Keeper) Unlock(ctx context.Context, owner state.Owner, id, holder string) error {
	return k.retryWrite(ctx, "unlock", func() error { return k.store.Unlock(ctx, owner, id, holder) })
}

// ConversationIDs is the store's.
func (k *Keeper) ConversationIDs(ctx context.Context, owner state.Owner) (ids []string, err error) {
	defer func(start time.Time) { k.done("conversation_ids", start, err) }(time.Now())
	return k.store.ConversationIDs(ctx, owner)
}
