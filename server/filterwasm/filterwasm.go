// Package filterwasm carries the filter as a WebAssembly module inside the
// native binary: `make build` puts it there, and what runs Envoy, renders or
// prints the module takes it from here. Nothing enters.
package filterwasm

import (
	"embed"
	"errors"
	"io/fs"
)

// The folder, not the file, is embedded: it exists in a clean checkout, where
// the module has not been built yet.
//
//go:embed all:wasm
var folder embed.FS

// ErrNotBuilt says that the binary was built before the module was.
var ErrNotBuilt = errors.New("this binary carries no filter: it was built without one; run `make build`, which builds the filter first")

// Module is the module, byte for byte as `make build` made it. The caller must
// not change it. The error is ErrNotBuilt.
func Module() ([]byte, error) { return module(folder) }

func module(folder fs.ReadFileFS) ([]byte, error) {
	b, err := folder.ReadFile("wasm/filter.wasm")
	if err != nil || len(b) == 0 {
		return nil, ErrNotBuilt
	}
	return b, nil
}
