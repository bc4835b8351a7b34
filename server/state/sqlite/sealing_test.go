package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"antwort/server/state"
	"antwort/server/state/packed"
	"antwort/server/state/statetest"

	"github.com/stretchr/testify/require"
)

func sealing(t testing.TB, path string, texts *packed.Packer, now func() time.Time) *Store {
	s, err := Open(ctx, Options{Path: path, Texts: texts, Now: now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestStoreThatSeals(t *testing.T) {
	statetest.Run(t, func(t testing.TB, now func() time.Time) state.Store {
		return sealing(t, filepath.Join(t.TempDir(), "state.db"), statetest.Sealed(), now)
	})
}

func TestSealing(t *testing.T) {
	statetest.Sealing(t, func(t testing.TB) *statetest.Database {
		folder, texts := t.TempDir(), statetest.Sealed()
		s := sealing(t, filepath.Join(folder, "state.db"), texts, nil)
		return &statetest.Database{
			Store: s, Texts: texts,
			Exec: func(t testing.TB, statement string) {
				_, err := s.writer.conn.ExecContext(ctx, statement)
				require.NoError(t, err)
			},
			Files: func(t testing.TB, text string) []string {
				in := containing(t, folder, text) // with what is in the log of changes
				require.NoError(t, checkpoint(ctx, s.writer.conn))
				return append(in, containing(t, folder, text)...)
			},
		}
	})
}
