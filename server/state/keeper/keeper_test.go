package keeper_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"antwort/server/state"
	"antwort/server/state/keeper"
	"antwort/server/state/statetest"
	"antwort/shared/config"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	ctx   = context.Background()
	alice = state.Owner{1}
)

// configured is a keeper of memory, as the default is.
func configured(t testing.TB, opt keeper.Options) *keeper.Keeper {
	cfg, err := config.Load(config.Sources{JSON: []byte(`{"engine":{"provider":"vllm","backend_url":"http://llm"}}`)})
	require.NoError(t, err)
	k, err := keeper.Open(ctx, cfg, opt)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	return k
}

func TestKeeperIsAStore(t *testing.T) {
	statetest.Run(t, func(t testing.TB, now func() time.Time) state.Store { return configured(t, keeper.Options{Now: now}) })
}

func TestNothingIsKeptWithoutAStore(t *testing.T) {
	cfg, err := config.Load(config.Sources{JSON: []byte(`{"engine":{"provider":"vllm-responses","backend_url":"http://llm"}}`)})
	require.NoError(t, err)
	k, err := keeper.Open(ctx, cfg, keeper.Options{})
	require.NoError(t, err)
	assert.Nil(t, k)
}

func TestTidying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		k := configured(t, keeper.Options{Registerer: reg})
		until, stop := context.WithCancel(ctx)
		defer stop()
		go k.Run(until)
		synctest.Wait()
		assert.True(t, k.Reached())
		for range 1200 { // more than two steps
			r := statetest.Turn(alice, "")
			r.TTL = 90 * time.Second
			require.NoError(t, k.Commit(ctx, r))
		}
		c := statetest.Conversation(t, k, alice, "one")
		assert.False(t, k.Over(alice, 1), "nobody has looked yet")
		time.Sleep(61 * time.Second)
		assert.True(t, k.Over(alice, 1))
		assert.False(t, k.Over(alice, 1<<40))
		assert.False(t, k.Over(alice, 0), "there is no limit")
		assert.False(t, k.Over(state.Owner{2}, 1))
		assert.InDelta(t, 1200, metric(t, reg, "state_responses"), 0)
		assert.InDelta(t, 1, metric(t, reg, "state_conversations"), 0)
		require.NoError(t, k.DeleteConversation(ctx, alice, c.ID))
		time.Sleep(time.Minute)
		assert.False(t, k.Over(alice, 1), "all has expired")
		assert.InDelta(t, 1200, metric(t, reg, "state_sweep_deleted_total"), 0)
	})
}

// broken is a store that is there or not, as the test wants.
type broken struct {
	state.Store
	err   error
	asked atomic.Int32
}

func (b *broken) Ready(context.Context) error {
	b.asked.Add(1)
	return b.err
}

func (b *broken) Commit(context.Context, *state.Record) error { return b.err }

func (b *broken) Renew(context.Context, []state.Lease, time.Duration) ([]state.Lease, error) {
	return nil, nil
}

func (b *broken) Chain(context.Context, state.Owner, string, state.Bounds) ([]state.Turn, error) {
	return nil, &state.MissingError{ID: "a"}
}

func TestReadiness(t *testing.T) {
	now := time.Now()
	down := state.Unavailable(errors.New("HUSH is not there"))
	b := &broken{err: down}
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	k := keeper.New(b, keeper.Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return now }, Registerer: reg})
	ready := func(asked int32, want error) {
		t.Helper()
		assert.Equal(t, want, k.Ready(ctx))
		assert.Equal(t, asked, b.asked.Load())
	}
	ready(1, down)
	ready(1, down) // within a second nobody asks again
	assert.False(t, k.Reached())
	b.err = nil
	now = now.Add(2 * time.Second)
	ready(2, nil)
	ready(2, nil)
	assert.True(t, k.Reached())
	b.err = down
	assert.Equal(t, down, k.Commit(ctx, nil), "an operation shows it too")
	ready(2, down)
	_, err := k.Renew(ctx, nil, time.Minute)
	require.NoError(t, err)
	ready(2, down) // for nobody was asked
	_, err = k.Chain(ctx, alice, "a", state.Bounds{})
	assert.ErrorIs(t, err, state.ErrMissing)
	ready(2, nil) // for it has answered
	b.err = state.Unavailable(context.Canceled)
	assert.ErrorIs(t, k.Commit(ctx, nil), context.Canceled)
	ready(2, nil) // that a caller leaves says nothing of the store
	assert.Equal(t, 2, strings.Count(log.String(), "of responses cannot be reached"))
	assert.Equal(t, 2, strings.Count(log.String(), "can be reached"))
	for result, n := range map[string]float64{"unavailable": 1, "left": 1} {
		assert.InDelta(t, n, metric(t, reg, "state_operations_total", "commit", result), 0, result)
	}
}

// full is a store that can be read, and written or not.
type full struct {
	broken
	tried int
}

func (f *full) Ready(context.Context) error    { return nil }
func (f *full) Writable(context.Context) error { f.tried++; return f.err }

// A store that keeps nothing is not ready, whatever it gives to read, until it keeps
// something.
func TestStoreThatOnlyReads(t *testing.T) {
	now := time.Now()
	f := &full{}
	k := keeper.New(f, keeper.Options{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
	require.NoError(t, k.Ready(ctx))
	down := state.Unavailable(errors.New("the disk is full"))
	f.err = down
	later := func() { now = now.Add(2 * time.Second) }
	later()
	require.NoError(t, k.Ready(ctx), "nobody has written")
	require.Equal(t, down, k.Commit(ctx, nil))
	for tried := range 3 {
		_, err := k.Chain(ctx, alice, "a", state.Bounds{})
		require.ErrorIs(t, err, state.ErrMissing)
		require.Equal(t, down, k.Ready(ctx))
		require.Equal(t, tried, f.tried)
		later()
		require.Equal(t, down, k.Ready(ctx))
	}
	f.err = state.Unavailable(context.Canceled)
	later()
	require.ErrorIs(t, k.Ready(ctx), context.Canceled)
	f.err = nil
	require.NoError(t, k.Ready(ctx))
	require.Equal(t, 5, f.tried)
	later()
	require.NoError(t, k.Ready(ctx))
	require.Equal(t, 5, f.tried, "it is written again")
	f.err = down
	require.Equal(t, down, k.Commit(ctx, nil))
	f.err = nil
	require.NoError(t, k.Commit(ctx, nil))
	require.NoError(t, k.Ready(ctx))
	require.Equal(t, 5, f.tried)
}

// A write is tried again until the store is there, or has decided, or time is up.
func TestWritesAreTriedAgain(t *testing.T) {
	down, odd := state.Unavailable(errors.New("it is not there yet")), errors.New("odd")
	for name, c := range map[string]struct {
		results []error // the last one again and again
		time    time.Duration
		want    error
		took    time.Duration
	}{
		"at once":                     {results: []error{nil}, time: 10 * time.Second},
		"at the third time":           {results: []error{down, down, nil}, time: 10 * time.Second, took: 60 * time.Millisecond},
		"never":                       {results: []error{down}, time: 10 * time.Second, want: state.ErrUnavailable, took: 10 * time.Second},
		"a fault, and then not":       {results: []error{odd, nil}, time: 10 * time.Second, took: 20 * time.Millisecond},
		"decided":                     {results: []error{state.ErrTooLarge}, time: 10 * time.Second, want: state.ErrTooLarge},
		"lost":                        {results: []error{down, state.ErrLost}, time: 10 * time.Second, want: state.ErrLost, took: 20 * time.Millisecond},
		"without a deadline, at once": {results: []error{down, nil}, want: state.ErrUnavailable},
	} {
		for op, write := range map[string]func(context.Context, *keeper.Keeper) error{
			"commit": func(ctx context.Context, k *keeper.Keeper) error { return k.Commit(ctx, nil) },
			"accept": func(ctx context.Context, k *keeper.Keeper) error { return k.Accept(ctx, nil, 0) },
			"append": func(ctx context.Context, k *keeper.Keeper) error { return k.Append(ctx, state.Lease{}, state.Events{}) },
			"finish": func(ctx context.Context, k *keeper.Keeper) error {
				return k.Finish(ctx, state.Lease{}, nil, state.Events{})
			},
		} {
			t.Run(name+" "+op, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					k := keeper.New(&scripted{results: c.results}, keeper.Options{Log: slog.New(slog.DiscardHandler), Now: time.Now})
					ctx := ctx
					if c.time > 0 {
						var cancel func()
						ctx, cancel = context.WithTimeout(ctx, c.time)
						defer cancel()
					}
					begun := time.Now()
					require.ErrorIs(t, write(ctx, k), c.want)
					require.Equal(t, c.took, time.Since(begun))
				})
			})
		}
	}
}

// scripted is a store whose writes end as the test says.
type scripted struct {
	state.Store
	results []error
	asked   int
}

func (s *scripted) next() error {
	err := s.results[min(s.asked, len(s.results)-1)]
	s.asked++
	return err
}

func (s *scripted) Commit(context.Context, *state.Record) error             { return s.next() }
func (s *scripted) Accept(context.Context, *state.Job, int) error           { return s.next() }
func (s *scripted) Append(context.Context, state.Lease, state.Events) error { return s.next() }
func (s *scripted) Finish(context.Context, state.Lease, *state.Record, state.Events) error {
	return s.next()
}

func TestStoresThatCannotBeOpened(t *testing.T) {
	for name, c := range map[string]struct{ state, problem string }{
		"no folder":   {`{"type":"sqlite","sqlite":{"path":"/nowhere/at/all.db"}}`, "state.sqlite.path: "},
		"no database": {`{"type":"postgres","postgres":{"dsn":"postgres://user:HUSH@host:port/x"}}`, "state.postgres.dsn: cannot be read"},
	} {
		cfg, err := config.Load(config.Sources{JSON: []byte(`{"engine":{"provider":"vllm","backend_url":"http://llm"},"state":` + c.state + `}`)})
		require.NoError(t, err)
		_, err = keeper.Open(ctx, cfg, keeper.Options{})
		require.ErrorContains(t, err, c.problem, name)
		assert.NotContains(t, err.Error(), "HUSH")
	}
}

// metric is a metric's value, of the one with these labels.
func metric(t *testing.T, reg *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var has []string
			for _, l := range m.GetLabel() {
				has = append(has, l.GetValue())
			}
			if f.GetName() == name && slices.Equal(has, labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}
