// Package shared_test guards what the packages of shared may import: they are
// compiled into the filter, and they are pure.
package shared_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tools are the packages that are for tests and the command line only.
var tools = []string{"antwort/shared/corpus", "antwort/shared/streamcheck"}

// allowed is what a package of shared may import beside other packages of
// shared. No I/O, no clock, no randomness, no reflection; package time is for
// durations. Package unsafe is for jsontext, which looks into fastjson's values.
var allowed = []string{
	"bytes", "cmp", "crypto/cipher", "crypto/hkdf", "crypto/sha256", "crypto/subtle", "encoding/base64", "encoding/hex", "errors", "iter", "maps", "math", "math/bits",
	"slices", "strconv", "strings", "sync", "sync/atomic", "time", "unicode", "unicode/utf16", "unicode/utf8",
	"github.com/valyala/fastjson", "golang.org/x/crypto/chacha20poly1305",
}

// forbidden must not come in by any way. fastjson brings fmt, and so os,
// reflect and syscall; those it may.
var forbidden = []string{
	"net", "net/http", "net/url", "os/exec", "os/signal", "encoding/json", "encoding/gob", "encoding/xml", "text/template", "html/template",
	"regexp", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand", "crypto/tls", "testing", "flag", "context",
}

func TestImports(t *testing.T) {
	packages := list(t, "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...")
	require.Greater(t, len(packages), 5)
	var paths []string
	for _, line := range packages {
		fields := strings.Fields(line)
		path := fields[0]
		if slices.Contains(tools, path) || len(fields) == 1 { // this folder has tests only
			continue
		}
		paths = append(paths, path)
		for _, imported := range fields[1:] {
			if imported == "unsafe" && path == "antwort/shared/jsontext" {
				continue
			}
			if slices.Contains(tools, imported) || !strings.HasPrefix(imported, "antwort/shared/") && !slices.Contains(allowed, imported) {
				t.Errorf("%s imports %s: expected only packages of shared and %s", path, imported, strings.Join(allowed, ", "))
			}
		}
	}
	for _, dependency := range list(t, append([]string{"-deps"}, paths...)...) {
		if slices.Contains(forbidden, dependency) {
			t.Errorf("%s is among the dependencies of shared: go mod why, or go list -deps, says by which way", dependency)
		}
	}
	// Compiled as the Makefile compiles the filter, which has most of it in the build cache.
	out, err := goWasm("build", append([]string{"-trimpath", "-gcflags=fmt=-l", "-o", os.DevNull}, paths...)...).CombinedOutput()
	require.NoError(t, err, "expected shared to build for wasip1: %s", out)
}

func list(t *testing.T, args ...string) []string {
	cmd := goWasm("list", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func goWasm(command string, args ...string) *exec.Cmd {
	cmd := exec.Command("go", append([]string{command}, args...)...)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	return cmd
}
