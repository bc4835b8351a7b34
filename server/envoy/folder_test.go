package envoy

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	killed, err := newFolder()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(killed.path, "plugin.json"), []byte("key"), 0o600))
	used, err := newFolder()
	require.NoError(t, err)
	assert.DirExists(t, killed.path, "a folder in use must stay")
	info, err := os.Stat(used.path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	require.NoError(t, killed.lock.Close()) // as when its process ends
	next, err := newFolder()
	require.NoError(t, err)
	assert.NoDirExists(t, killed.path, "what a killed process left must go")
	assert.DirExists(t, used.path)
	for _, f := range []*folder{used, next} {
		f.remove(slog.New(slog.DiscardHandler))
		assert.NoDirExists(t, f.path)
	}
}
