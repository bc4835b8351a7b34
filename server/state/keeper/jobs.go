package keeper

import (
	"context"
	"time"

	"antwort/server/state"
)

// Accept is the store's, tried again.
func (k *Keeper) Accept(ctx context.Context, j *state.Job, queue int) error {
	return k.retryWrite(ctx, "accept", func() error { return k.store.Accept(ctx, j, queue) })
}

// Claim is the store's.
func (k *Keeper) Claim(ctx context.Context, lease time.Duration) (j *state.Job, err error) {
	defer func(start time.Time) { k.done("claim", start, err) }(time.Now())
	return k.store.Claim(ctx, lease)
}

// Renew is the store's. Without leases the store is not asked, so nothing is said of
// it.
func (k *Keeper) Renew(ctx context.Context, leases []state.Lease, lease time.Duration) (held []state.Lease, err error) {
	if len(leases) == 0 {
		return nil, nil
	}
	defer func(start time.Time) { k.done("renew", start, err) }(time.Now())
	return k.store.Renew(ctx, leases, lease)
}

// Release is the store's.
func (k *Keeper) Release(ctx context.Context, l state.Lease) (err error) {
	defer func(start time.Time) { k.done("release", start, err) }(time.Now())
	return k.store.Release(ctx, l)
}

// Append is the store's, tried again.
func (k *Keeper) Append(ctx context.Context, l state.Lease, e state.Events) error {
	return k.retryWrite(ctx, "append", func() error { return k.store.Append(ctx, l, e) })
}

// Finish is the store's, tried again.
func (k *Keeper) Finish(ctx context.Context, l state.Lease, r *state.Record, e state.Events) error {
	return k.retryWrite(ctx, "finish", func() error { return k.store.Finish(ctx, l, r, e) })
}

// Cancel is the store's.
func (k *Keeper) Cancel(ctx context.Context, owner state.Owner, id string, end func(*state.Record, []state.Events) []byte) (r *state.Record, err error) {
	defer func(start time.Time) { k.done("cancel", start, err) }(time.Now())
	return k.store.Cancel(ctx, owner, id, end)
}

// Events is the store's.
func (k *Keeper) Events(ctx context.Context, owner state.Owner, id string, after int64) (l *state.Log, err error) {
	defer func(start time.Time) { k.done("events", start, err) }(time.Now())
	return k.store.Events(ctx, owner, id, after)
}

// Queued is the store's.
func (k *Keeper) Queued(ctx context.Context) (n int, err error) {
	defer func(start time.Time) { k.done("queued", start, err) }(time.Now())
	return k.store.Queued(ctx)
}
