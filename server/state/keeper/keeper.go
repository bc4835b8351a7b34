// Package keeper keeps the store that the configuration names: it opens it, knows
// whether it can be reached, measures it, and removes what has expired.
//
//	config ─► Open ─► memory, sqlite or postgres
//	requests ─► Keeper, which is a state.Store ─► that store
//	Run ─► every minute: sweep, and who has how much ─► Over, metrics
//	another configuration ─► Use ─► the keys that texts are sealed with
//
// Nothing but a configuration and what a store takes enters.
package keeper

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"antwort/server/state"
	"antwort/server/state/memory"
	"antwort/server/state/packed"
	"antwort/server/state/postgres"
	"antwort/server/state/sqlite"
	"antwort/shared/config"
	"antwort/shared/policy"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are what a keeper takes from its surroundings. The zero value is ready
// to use.
type Options struct {
	Log        *slog.Logger          // nil: no logs
	Now        func() time.Time      // nil: time.Now
	Registerer prometheus.Registerer // of the metrics, with their prefix; nil: there are none
}

// Keeper is a store, and what is known of it.
type Keeper struct {
	store   state.Store
	writer  state.Writer   // the same; nil: it is there or not, whatever it is asked
	texts   *packed.Packer // of the store; nil: it has no use for it
	log     *slog.Logger
	now     func() time.Time
	metrics *metrics

	asking  sync.Mutex // held while the store is asked whether it is there
	outcome atomic.Pointer[outcome]
	mute    atomic.Bool // the last write has failed: that something is read shows nothing
	reached atomic.Bool
	closed  atomic.Bool
	usage   atomic.Pointer[map[state.Owner]state.Used]
}

// outcome is what the last operation showed.
type outcome struct {
	at  time.Time
	err error // ErrUnavailable
}

// Open opens the store of a configuration; nil when it has none. A store that
// cannot be reached yet is none the less opened where that may change, and is
// unavailable until then.
func Open(ctx context.Context, cfg *config.Config, opt Options) (*Keeper, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	texts := new(packed.Packer)
	use(texts, cfg)
	store, err := openStore(ctx, cfg, texts, opt.Now, false)
	if err != nil || store == nil {
		return nil, err
	}
	k := New(store, opt)
	k.texts = texts
	return k, nil
}

// Use says that texts are sealed and opened by another configuration from now on.
func (k *Keeper) Use(cfg *config.Config) {
	if k.texts != nil {
		use(k.texts, cfg)
	}
}

func use(texts *packed.Packer, cfg *config.Config) {
	texts.Use(policy.Sealer(cfg, func(b []byte) { _, _ = rand.Read(b) }), cfg.State.Encrypt) // Read never fails, says its documentation
}

// openStore opens the store of a configuration; nil when it has none.
func openStore(ctx context.Context, cfg *config.Config, texts *packed.Packer, now func() time.Time, beside bool) (state.Store, error) {
	switch cfg.StateType() {
	case config.MemoryState:
		return memory.New(memory.Options{MaxBytes: cfg.State.Memory.MaxBytes, Now: now}), nil
	case config.SQLiteState:
		s, err := sqlite.Open(ctx, sqlite.Options{Path: cfg.State.SQLite.Path, Normal: cfg.State.SQLite.Sync == config.NormalSync, Beside: beside, Texts: texts, Now: now})
		if err != nil {
			return nil, fmt.Errorf("state.sqlite.path: %w", err)
		}
		return s, nil
	case config.PostgresState:
		pg := &cfg.State.Postgres
		s, err := postgres.Open(ctx, postgres.Options{DSN: pg.DSN.Reveal(), MaxConnections: pg.MaxConnections, CheckOnly: beside || pg.Migrate == config.CheckOnly,
			Texts: texts, Now: now})
		if err != nil {
			return nil, fmt.Errorf("state.postgres.dsn: %w", err)
		}
		return s, nil
	default:
		return nil, nil
	}
}

// OpenBeside opens the store that servers with this configuration have, perhaps
// while they serve. It makes no tables, and changes none.
func OpenBeside(ctx context.Context, cfg *config.Config) (state.Store, error) {
	switch kind := cfg.StateType(); kind {
	case config.NoState:
		return nil, errors.New("state.type is none: nothing is kept")
	case config.MemoryState:
		return nil, errors.New("state.type is memory: only the process that serves can see what it keeps; its metrics antwort_state_responses and antwort_state_bytes say how much")
	default:
		texts := new(packed.Packer)
		use(texts, cfg)
		return openStore(ctx, cfg, texts, time.Now, true)
	}
}

// Unopened keeps nothing, for a server that is made of a configuration and never
// serves.
func Unopened() *Keeper {
	return New(memory.New(memory.Options{}), Options{Log: slog.New(slog.DiscardHandler), Now: time.Now})
}

// New keeps a store that is open. The options have no empty fields but the
// registerer.
func New(store state.Store, opt Options) *Keeper {
	k := &Keeper{store: store, log: opt.Log, now: opt.Now}
	k.writer, _ = store.(state.Writer)
	k.metrics = newMetrics(k, opt.Registerer)
	return k
}

// fresh is how long an outcome says something of the store, in good and in bad.
const fresh = time.Second

// askTime bounds asking whether the store is there.
const askTime = 2 * time.Second

// Ready says whether the store can be reached: by the last operation, or by asking
// it when that was a while ago. Who comes while it is asked waits for the answer. Where
// the last write has failed it is asked whether it can be written.
func (k *Keeper) Ready(ctx context.Context) error {
	if err, known := k.known(); known {
		return err
	}
	k.asking.Lock()
	defer k.asking.Unlock()
	if err, known := k.known(); known {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	err := k.ask(ctx)
	k.note(err)
	return err
}

// ask asks the store.
func (k *Keeper) ask(ctx context.Context) error {
	if !k.mute.Load() {
		return k.store.Ready(ctx)
	}
	err := k.writer.Writable(ctx)
	k.wrote(err)
	return err
}

// wrote remembers how a write has ended; with context.Canceled its caller has left.
func (k *Keeper) wrote(err error) {
	if k.writer != nil && !errors.Is(err, context.Canceled) {
		k.mute.Store(errors.Is(err, state.ErrUnavailable))
	}
}

// known is the last outcome, when it is fresh.
func (k *Keeper) known() (err error, known bool) {
	o := k.outcome.Load()
	if o == nil || k.now().Sub(o.at) > fresh {
		return nil, false
	}
	return o.err, true
}

// note remembers what an operation shows of the store. That a caller has left
// shows nothing.
func (k *Keeper) note(err error) {
	down := errors.Is(err, state.ErrUnavailable)
	if errors.Is(err, context.Canceled) || !down && k.mute.Load() {
		return
	}
	o := &outcome{at: k.now()}
	if down {
		o.err = err
	}
	before := k.outcome.Swap(o)
	k.reached.Store(k.reached.Load() || !down)
	switch wasDown := before != nil && before.err != nil; {
	case down && !wasDown:
		k.log.Error("the store of responses cannot be reached", "problem", err.Error())
	case !down && wasDown:
		k.log.Info("the store of responses can be reached")
	}
}

// Reached reports whether the store was ever reached.
func (k *Keeper) Reached() bool { return k.reached.Load() }

// Over reports whether an owner had more than limit bytes when it was last looked;
// 0 is no limit.
func (k *Keeper) Over(owner state.Owner, limit int64) bool {
	usage := k.usage.Load()
	return limit > 0 && usage != nil && (*usage)[owner].Bytes > limit
}

// inUse is how many connections the store uses, where it has such.
func (k *Keeper) inUse() int {
	if s, has := k.store.(interface{ InUse() int }); has {
		return s.InUse()
	}
	return 0
}
