// Package envoybin finds the Envoy that the end-to-end tests run.
package envoybin

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Find returns the path of Envoy: what ENVOY names, else what e2e/envoy/install
// has installed, else the one on the PATH.
func Find() (string, error) {
	if named := os.Getenv("ENVOY"); named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("ENVOY names no program: %w", err)
		}
		return filepath.Abs(path)
	}
	_, here, _, _ := runtime.Caller(0)
	installed := filepath.Join(filepath.Dir(here), "..", ".cache", "envoy", "envoy", "_bin", "envoy")
	if _, err := os.Stat(installed); err == nil {
		return installed, nil
	}
	path, err := exec.LookPath("envoy")
	if err != nil {
		return "", fmt.Errorf("there is no Envoy: run e2e/envoy/install, or set ENVOY to one")
	}
	return path, nil
}

// Path is Find for a test that cannot do without.
func Path(t testing.TB) string {
	t.Helper()
	path, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
