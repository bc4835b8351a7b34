package postgres

import (
	"testing"
	"time"

	"antwort/server/state"
	"antwort/server/state/packed"
	"antwort/server/state/statetest"

	"github.com/stretchr/testify/require"
)

func sealing(t testing.TB, dsn string, texts *packed.Packer, now func() time.Time) *Store {
	s, err := Open(ctx, Options{DSN: dsn, MaxConnections: 8, Texts: texts, Now: now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestStoreThatSeals(t *testing.T) {
	if testing.Short() {
		t.Skip("the store of all these tests seals in SQLite too, which is faster")
	}
	pg := shared(t)
	statetest.Run(t, func(t testing.TB, now func() time.Time) state.Store {
		return sealing(t, pg.Schema(t), statetest.Sealed(), now)
	})
}

func TestSealing(t *testing.T) {
	pg := own(t)
	statetest.Sealing(t, func(t testing.TB) *statetest.Database {
		texts := statetest.Sealed()
		s := sealing(t, pg.Schema(t), texts, nil)
		return &statetest.Database{
			Store: s, Texts: texts, Prefix: "antwort_",
			Exec: func(t testing.TB, statement string) {
				_, err := s.pool.Exec(ctx, statement)
				require.NoError(t, err)
			},
			Files: pg.Files,
		}
	})
}
