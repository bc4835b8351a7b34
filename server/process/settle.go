package process

import (
	"context"
	"errors"
	"time"

	"antwort/shared/config"
)

// settling is how long a changed configuration must stay as it is.
const settling = 100 * time.Millisecond

// errChanging is returned for a configuration that changes while it is read.
var errChanging = errors.New("the configuration changed while it was read")

// settled loads what is not in force once more a moment later, and refuses it
// when it is not the same. A file that is read while it is written may be half of
// one, and be valid: without the models of its last key, for example, which then
// may use all.
func (f *Follower) settled(ctx context.Context) (cfg *config.Config, changed bool, err error) {
	cfg, err = f.Load()
	if err != nil || f.inForce(cfg) {
		return cfg, false, err
	}
	if !sleep(ctx, settling) {
		return nil, false, ctx.Err()
	}
	again, err := f.Load()
	if err != nil {
		return nil, false, err
	}
	if !again.Equal(cfg) {
		return nil, false, errChanging
	}
	return again, true, nil
}

// sleep reports whether d has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
