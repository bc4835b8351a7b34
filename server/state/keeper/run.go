package keeper

import (
	"context"
	"errors"
	"time"

	"antwort/server/state"
)

// Every minute what has expired is removed, in steps of so many threads, and
// counted who has how much. With larger steps commits would wait longer for one than
// for the disk, as statetest's benchmark of sweeping shows.
const (
	interval  = time.Minute
	sweepStep = 200
	stepPause = 10 * time.Millisecond // between two steps: others get their turn
	stepTime  = time.Minute           // for one step: a store that hangs must not hold up all that come later
)

// Run removes what has expired until ctx ends, first at once.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		k.Tidy(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Tidy removes what has expired by now, and counts what is there.
func (k *Keeper) Tidy(ctx context.Context) {
	for more := true; more; {
		step, cancel := context.WithTimeout(ctx, stepTime)
		swept, err := k.Sweep(step, k.now(), sweepStep)
		cancel()
		if err != nil {
			k.complain("removing what has expired", err)
			return
		}
		k.metrics.swept.Add(float64(swept.Responses))
		if more = swept.More; more {
			select {
			case <-ctx.Done():
				return
			case <-time.After(stepPause):
			}
		}
	}
	step, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	if _, err := k.Usage(step); err != nil {
		k.complain("counting what is kept", err)
	}
}

// complain logs a failure that no request has; that the store cannot be reached is
// said elsewhere.
func (k *Keeper) complain(what string, err error) {
	if !errors.Is(err, state.ErrUnavailable) {
		k.log.Error(what+" failed", "problem", err.Error())
	}
}
