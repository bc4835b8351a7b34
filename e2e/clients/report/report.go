// Package report writes what one case of a client suite proved, for the table
// that clients/run prints. The Python and JavaScript suites write the same.
package report

import (
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Result is one line of the file that the environment variable E2E_RESULTS
// names.
type Result struct {
	Case    string  `json:"case"`
	Proves  string  `json:"proves"` // one sentence, with the public reports of its breaking elsewhere
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"`
	Error   string  `json:"error,omitempty"`
	Skipped string  `json:"skipped,omitempty"` // why it did not run
}

// URL returns the base URL of the chain under test, without /v1. It skips the
// test when there is none.
func URL(t *testing.T) string {
	t.Helper()
	url := os.Getenv("BASE_URL")
	if url == "" {
		t.Skip("BASE_URL is not set: run `make e2e-clients`, or `go run ./clients/run` from the folder e2e")
	}
	return strings.TrimSuffix(url, "/")
}

// NeedsServer skips the test when E2E_SERVER is 0: no tier of the chain is the
// native server, and the filter cannot do what the test wants (write while
// upstream is silent or gone, or take back a status).
func NeedsServer(t *testing.T) {
	t.Helper()
	if os.Getenv("E2E_SERVER") == "0" {
		t.Skip(onlyServer)
	}
}

const onlyServer = "only a server tier can"

var mu sync.Mutex // of the file

// Case runs one named case as a subtest and reports its result.
func Case(t *testing.T, name, proves string, f func(t *testing.T)) {
	t.Helper()
	start := time.Now()
	ran, skipped := false, ""
	ok := t.Run(name, func(t *testing.T) {
		ran = true
		defer func() {
			if t.Skipped() {
				skipped = onlyServer
			}
		}()
		f(t)
	})
	file := os.Getenv("E2E_RESULTS")
	if file == "" || !ran { // -run names other cases
		return
	}
	r := Result{Case: name, Proves: proves, OK: ok, Seconds: time.Since(start).Seconds(), Skipped: skipped}
	if !ok {
		r.Error = "see the log"
	}
	line, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	out, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
}
