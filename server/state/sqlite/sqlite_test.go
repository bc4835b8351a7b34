package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"antwort/server/state"
	"antwort/server/state/sqlite"
	"antwort/server/state/statetest"

	"github.com/stretchr/testify/require"
)

var ctx = context.Background()

func open(t testing.TB, now func() time.Time) state.Store {
	s, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(t.TempDir(), "state #1?.db"), Now: now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestStore(t *testing.T) { statetest.Run(t, open) }

func TestSweep(t *testing.T) { statetest.Sweep(t, open) }

func BenchmarkStore(b *testing.B) { statetest.Bench(b, open) }
