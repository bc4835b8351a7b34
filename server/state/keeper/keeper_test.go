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
		assert.False(t, k.Over(alice, 1), "nobody has looked yet")
		time.Sleep(61 * time.Second)
		assert.True(t, k.Over(alice, 1))
		assert.False(t, k.Over(alice, 1<<40))
		assert.False(t, k.Over(alice, 0), "there is no limit")
		assert.False(t, k.Over(state.Owner{2}, 1))
		assert.InDelta(t, 1200, metric(t, reg, "state_responses"), 0)
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
	_, err := k.Chain(ctx, alice, "a", state.Bounds{})
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

// A commit is tried again until the store is there, or time is up.
func TestCommitIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &recovering{at: time.Now().Add(5 * time.Second)}
		k := keeper.New(b, keeper.Options{Log: slog.New(slog.DiscardHandler), Now: time.Now})
		enough, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		require.NoError(t, k.Commit(enough, nil))
		assert.Less(t, time.Since(b.at), time.Second)
		assert.Less(t, b.tries.Load(), int32(12))

		b.at = time.Now().Add(time.Minute)
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, k.Commit(short, nil), state.ErrUnavailable)
		assert.LessOrEqual(t, time.Since(start), 3*time.Second)
		b.tries.Store(0)
		require.ErrorIs(t, k.Commit(ctx, nil), state.ErrUnavailable, "without a deadline nobody waits")
		assert.EqualValues(t, 1, b.tries.Load())
	})
}

// recovering is a store that is there from a time on.
type recovering struct {
	state.Store
	at    time.Time
	tries atomic.Int32
}

func (r *recovering) Commit(context.Context, *state.Record) error {
	r.tries.Add(1)
	if time.Now().Before(r.at) {
		return state.Unavailable(errors.New("it is not there yet"))
	}
	return nil
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
