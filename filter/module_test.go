package filter_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// budget is what filter.wasm may have: 6 % over what it had before it translated
// clients' tools, and what knowing the keys of state, conversations, background work
// and delegation costs, and counting tokens. It is raised only with a reason in RATIONALE.md.
// Sealing thoughts has 204 KB: XChaCha20-Poly1305 and HKDF, with what they need of
// package crypto. Passing WebSockets on has 16 KB. The keys of limits, which the filter
// refuses, have 27 KB.
// Summing conversations up has 154 KB. What Envoy's circuit breakers and rate limits answer
// has 19 KB. The keys of OTLP and tracing, which are for the server and for what is rendered,
// have 26 KB. The places that tell a trail what they do, where there is one, have 3 KB
// although nothing is called in them here. What a service of Envoy's that counts requests and
// tokens is told, and says, has 11 KB.
const budget = 4_570_061*106/100 + 115_000 + 205_000 + 16_000 + 30_000 + 155_000 + 19_000 + 27_000 + 3_000 + 11_000

func TestModuleIsWithinItsBudget(t *testing.T) {
	if len(module) > budget {
		t.Errorf("filter.wasm has %d bytes, the budget is %d: every 100 KB cost 0.1 s at Envoy's start and 2 MB a VM", len(module), budget)
	}
	t.Logf("filter.wasm: %d bytes", len(module))
}

// The bytes depend on nothing but the sources: not on where they stand.
func TestBuildIsReproducible(t *testing.T) {
	elsewhere := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "shared", "filter", "wasm"} {
		if err := copyTree(filepath.Join(elsewhere, name), filepath.Join("..", name)); err != nil {
			t.Fatal(err)
		}
	}
	there, err := build(elsewhere, "tinygo")
	if err != nil {
		t.Fatal(err)
	}
	here, err := build(".", "tinygo")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(here, there) {
		t.Errorf("two builds of the same sources differ: sha256 %x and %x", sha256.Sum256(here), sha256.Sum256(there))
	}
}

func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Name() == "testdata" {
			return fs.SkipDir
		}
		rest, err := filepath.Rel(from, path)
		if err != nil || d.IsDir() {
			return errors.Join(err, os.MkdirAll(filepath.Join(to, rest), 0o755))
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rest), b, 0o644)
	})
}
