package keeper

import (
	"context"
	"time"

	"antwort/server/state"
)

// Threads is the store's.
func (k *Keeper) Threads(ctx context.Context, owner state.Owner, after state.Place, limit int) (threads []state.Thread, more bool, err error) {
	defer func(start time.Time) { k.done("threads", start, err) }(time.Now())
	return k.store.Threads(ctx, owner, after, limit)
}

// Responses is the store's.
func (k *Keeper) Responses(ctx context.Context, owner state.Owner, thread string, after state.Place, limit int) (places []state.Place, more bool, err error) {
	defer func(start time.Time) { k.done("responses", start, err) }(time.Now())
	return k.store.Responses(ctx, owner, thread, after, limit)
}

// DeleteThread is the store's.
func (k *Keeper) DeleteThread(ctx context.Context, owner state.Owner, id string) (err error) {
	defer func(start time.Time) { k.done("delete_thread", start, err) }(time.Now())
	return k.store.DeleteThread(ctx, owner, id)
}

// Known is what every owner had when it was last looked; nil: nobody has looked yet.
func (k *Keeper) Known() map[state.Owner]state.Used {
	if used := k.usage.Load(); used != nil {
		return *used
	}
	return nil
}
