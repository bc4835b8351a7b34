// Package checkout finds what lies in a checkout of the repository: its folder, and the
// binary that make build has put there. Every test and tool of e2e may use it.
package checkout

import (
	"os"
	"path/filepath"
	"testing"
)

// Root is the folder of the repository: the nearest one at or above the working
// directory that has a go.work. It is "." where there is none.
func Root() string {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "go.work")); missing == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	return "."
}

// Antwort is the whole path of the binary under test: what ANTWORT names, else bin/antwort
// of this checkout. The test fails when it is not there.
func Antwort(t testing.TB) string {
	t.Helper()
	path := os.Getenv("ANTWORT")
	if path == "" {
		path = filepath.Join(Root(), "bin", "antwort")
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("no binary to test: run make build, or set ANTWORT to one (%v)", err)
	}
	return path
}
