package vm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// program is a compiled module with the host's functions beside it. It has no
// state of its own: a host call finds its worker in the context, so that one
// program serves all the workers of a process.
type program struct {
	runtime wazero.Runtime
	module  wazero.CompiledModule
}

// programs are those of this process, by the SHA-256 of the module. They stay,
// for a test's process compiles few modules and starts many hosts with each:
// even a module from wazero's cache takes a twentieth of a second to check, and
// ten times that under the race detector.
var programs sync.Map // [sha256.Size]byte → func() (*program, error)

// compiled gives the program of a module.
func compiled(wasm []byte) (*program, error) {
	once := sync.OnceValues(func() (*program, error) { return compile(wasm) })
	get, _ := programs.LoadOrStore(sha256.Sum256(wasm), once)
	return get.(func() (*program, error))()
}

// memoryPages is how much memory a module may have: 1 GiB, as Envoy gives it.
const memoryPages = 1 << 30 >> 16

// compile makes the runtime with the host's functions, and the module. What
// wazero makes of it is kept in the user's cache folder for the next process.
func compile(wasm []byte) (*program, error) {
	ctx := context.Background()
	config := wazero.NewRuntimeConfig().WithMemoryLimitPages(memoryPages)
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	if cache, err := wazero.NewCompilationCacheWithDir(filepath.Join(dir, "proxy-wasm-filtertest")); err == nil {
		config = config.WithCompilationCache(cache)
	}
	p := &program{runtime: wazero.NewRuntimeWithConfig(ctx, config)}
	if p.module, err = p.load(ctx, wasm); err != nil {
		return nil, errors.Join(err, p.runtime.Close(ctx))
	}
	return p, nil
}

func (p *program) load(ctx context.Context, wasm []byte) (wazero.CompiledModule, error) {
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, p.runtime); err != nil {
		return nil, err
	}
	if err := exportHostFunctions(ctx, p.runtime); err != nil {
		return nil, err
	}
	module, err := p.runtime.CompileModule(ctx, wasm)
	if err != nil {
		return nil, fmt.Errorf("compile the module: %w", err)
	}
	exports := module.ExportedFunctions()
	if exports["proxy_abi_version_0_2_0"] == nil && exports["proxy_abi_version_0_2_1"] == nil {
		return nil, errors.New("the module exports neither proxy_abi_version_0_2_0 nor proxy_abi_version_0_2_1: not a proxy-wasm module of ABI 0.2")
	}
	return module, nil
}
