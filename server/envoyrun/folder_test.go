package envoyrun

import (
	"log/slog"
	"os"
	"path/filepath"
	"sync"
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

// Only what is left over of this user's gateways goes.
func TestFolderLeavesOthersAlone(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	at := func(name string) string { return filepath.Join(os.TempDir(), folderPrefix+name) }
	victim := filepath.Join(t.TempDir(), "victim")
	require.NoError(t, os.Mkdir(victim, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(victim, "file"), nil, 0o600))
	require.NoError(t, os.Symlink(victim, at("link")))
	require.NoError(t, os.Mkdir(at("shared"), 0o755)) // no gateway makes it so
	require.NoError(t, os.WriteFile(at("file"), nil, 0o600))
	require.NoError(t, os.Mkdir(at("left"), 0o700)) // by one that was killed at its start

	f, err := newFolder()
	require.NoError(t, err)
	defer f.remove(slog.New(slog.DiscardHandler))
	assert.FileExists(t, filepath.Join(victim, "file"))
	assert.DirExists(t, at("shared"))
	assert.FileExists(t, at("file"))
	assert.NoDirExists(t, at("left"))
}

// Gateways that start at the same time take no folder from each other.
func TestFoldersOfManyStarts(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var starts sync.WaitGroup
	for range 8 {
		starts.Go(func() {
			for range 20 {
				f, err := newFolder()
				if !assert.NoError(t, err) {
					return
				}
				assert.NoError(t, os.WriteFile(filepath.Join(f.path, "x"), nil, 0o600))
				assert.FileExists(t, filepath.Join(f.path, "x"))
				f.remove(slog.New(slog.DiscardHandler))
			}
		})
	}
	starts.Wait()
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	assert.Empty(t, left)
}
