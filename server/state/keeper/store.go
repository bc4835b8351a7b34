package keeper

import (
	"context"
	"errors"
	"time"

	"antwort/server/state"
)

// The keeper is the store, measured.
var _ state.Store = (*Keeper)(nil)

// done counts an operation.
func (k *Keeper) done(op string, start time.Time, err error) {
	k.note(err)
	k.metrics.operations.WithLabelValues(op, result(err)).Inc()
	k.metrics.seconds.WithLabelValues(op).Observe(time.Since(start).Seconds())
}

// result is an error as the metrics name it.
func result(err error) string {
	if err == nil {
		return "ok"
	}
	for _, r := range [...]struct {
		err  error
		name string
	}{
		{context.Canceled, "left"}, {state.ErrUnavailable, "unavailable"}, {state.ErrUnreadable, "unreadable"}, {state.ErrNotFound, "not_found"}, {state.ErrMissing, "missing"},
		{state.ErrTooLong, "too_long"}, {state.ErrUnusable, "unusable"}, {state.ErrTooLarge, "too_large"}, {state.ErrConflict, "conflict"},
		{state.ErrQueueFull, "queue_full"}, {state.ErrLost, "lost"}, {state.ErrLocked, "locked"}, {state.ErrNoItem, "no_item"}, {state.ErrDuplicate, "duplicate"},
	} {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	return "error"
}

// Chain is the store's.
func (k *Keeper) Chain(ctx context.Context, owner state.Owner, id string, bounds state.Bounds) (turns []state.Turn, err error) {
	defer func(start time.Time) { k.done("chain", start, err) }(time.Now())
	return k.store.Chain(ctx, owner, id, bounds)
}

// Get is the store's.
func (k *Keeper) Get(ctx context.Context, owner state.Owner, id string) (r *state.Record, err error) {
	defer func(start time.Time) { k.done("get", start, err) }(time.Now())
	return k.store.Get(ctx, owner, id)
}

// Delete is the store's.
func (k *Keeper) Delete(ctx context.Context, owner state.Owner, id string) (err error) {
	defer func(start time.Time) { k.done("delete", start, err) }(time.Now())
	return k.store.Delete(ctx, owner, id)
}

// Waits before a write is tried again: each twice the one before.
const (
	firstWait = 20 * time.Millisecond
	lastWait  = time.Second
)

// retryWrite does a write, and repeats it while ctx, which must have a deadline then, has
// time for it; but not what the store has decided.
func (k *Keeper) retryWrite(ctx context.Context, op string, write func() error) (err error) {
	defer func(start time.Time) { k.done(op, start, err) }(time.Now())
	deadline, has := ctx.Deadline()
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		err = write()
		k.wrote(err)
		if err == nil || state.Final(err) || !has || ctx.Err() != nil || k.closed.Load() {
			return err
		}
		k.note(err)
		next := time.NewTimer(min(wait, time.Until(deadline)))
		select {
		case <-ctx.Done():
			next.Stop()
			return err
		case <-next.C:
		}
	}
}

// Commit is the store's, tried again.
func (k *Keeper) Commit(ctx context.Context, r *state.Record) error {
	return k.retryWrite(ctx, "commit", func() error { return k.store.Commit(ctx, r) })
}

// Sweep is the store's.
func (k *Keeper) Sweep(ctx context.Context, now time.Time, limit int) (swept state.Swept, err error) {
	defer func(start time.Time) { k.done("sweep", start, err) }(time.Now())
	return k.store.Sweep(ctx, now, limit)
}

// Purge is the store's.
func (k *Keeper) Purge(ctx context.Context, owner state.Owner) (removed state.Removed, err error) {
	defer func(start time.Time) { k.done("purge", start, err) }(time.Now())
	return k.store.Purge(ctx, owner)
}

// Export is the store's.
func (k *Keeper) Export(ctx context.Context, owner state.Owner, each func(*state.Record) error) (err error) {
	defer func(start time.Time) { k.done("export", start, err) }(time.Now())
	return k.store.Export(ctx, owner, each)
}

// Key is the store's.
func (k *Keeper) Key(ctx context.Context, name string, fresh []byte) (key []byte, err error) {
	defer func(start time.Time) { k.done("key", start, err) }(time.Now())
	return k.store.Key(ctx, name, fresh)
}

// Usage is the store's. Over and the metrics tell it until the next one.
func (k *Keeper) Usage(ctx context.Context) (used map[state.Owner]state.Used, err error) {
	defer func(start time.Time) { k.done("usage", start, err) }(time.Now())
	if used, err = k.store.Usage(ctx); err == nil {
		k.usage.Store(&used)
	}
	return used, err
}

// Close is the store's.
func (k *Keeper) Close() error {
	k.closed.Store(true)
	k.outcome.Store(&outcome{at: k.now(), err: state.ErrUnavailable})
	return k.store.Close()
}
