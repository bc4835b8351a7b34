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

// budget is what filter.wasm may have: what it has, and 2 KB. docs/filter.md says what its
// parts weigh. It is raised only with a reason in RATIONALE.md.
const budget = 5_563_500

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
