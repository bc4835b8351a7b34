package filterwasm

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestModule(t *testing.T) {
	b, err := module(fstest.MapFS{"wasm/README.md": {}, "wasm/filter.wasm": {Data: []byte("\x00asm")}})
	require.NoError(t, err)
	require.Equal(t, "\x00asm", string(b))
}

func TestWithoutModule(t *testing.T) {
	for name, folder := range map[string]fstest.MapFS{
		"clean checkout": {"wasm/README.md": {}},
		"empty file":     {"wasm/filter.wasm": {}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := module(folder)
			require.ErrorIs(t, err, ErrNotBuilt)
			require.Contains(t, err.Error(), "make build")
		})
	}
}
