package filter_test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// `antwort filter` prints the module that make build made, byte for byte.
func TestTheCommandPrintsTheModule(t *testing.T) {
	built, err := os.ReadFile(shipped(t))
	require.NoError(t, err)
	command := exec.Command(filepath.Join(root(t), "bin", "antwort"), "filter")
	command.Stderr = os.Stderr
	printed, err := command.Output()
	require.NoError(t, err)
	require.True(t, bytes.Equal(built, printed), "sha256: bin/filter.wasm %x, antwort filter %x: run make build", sha256.Sum256(built), sha256.Sum256(printed))
}
