package filtertest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// BuildArgs are the arguments of the go command that compile a plugin written
// with proxy-wasm-go-sdk, and package antwort/wasm/abi imported, into a module:
// reproducibly, so that the same sources give the same bytes wherever they
// stand. GOOS is wasip1, GOARCH wasm.
func BuildArgs(out, pkg string) []string {
	return []string{
		"build", "-buildmode=c-shared", "-tags=tinygo", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=",
		"-gcflags=github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal=-complete=false",
		"-gcflags=fmt=-l", // it writes errors only: what is inlined in it weighs 26 KB
		"-o", out, pkg,
	}
}

// Build compiles a plugin package for a test and gives the module. pkg is a
// folder ("./plugin", compiled in its own Go module) or an import path.
func Build(pkg string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "filtertest")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out := filepath.Join(dir, "plugin.wasm")
	folder := ""
	if strings.HasPrefix(pkg, ".") {
		folder, pkg = pkg, "."
	}
	cmd := exec.Command("go", BuildArgs(out, pkg)...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build %s: %w: %s", pkg, err, bytes.TrimSpace(output))
	}
	return os.ReadFile(out)
}
