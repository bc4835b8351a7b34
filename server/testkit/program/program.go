// Package program starts a program that tests need: a database, a store of limits.
// Packages that start one of a kind enter by [Start]; a test that fills a disk, or cannot
// write to it, runs in a process with one of its own by [Disk].
package program

import (
	"bufio"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Start starts what tests call by name, and returns when a line of its log has one of the
// words that say that it is ready.
func Start(t testing.TB, name string, cmd *exec.Cmd, log io.Reader, ready ...string) {
	t.Helper()
	require.NoError(t, cmd.Start())
	up := make(chan bool, 1)
	var said strings.Builder
	go func() {
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if slices.ContainsFunc(ready, func(word string) bool { return strings.Contains(lines.Text(), word) }) {
				up <- true
			} else if len(up) == 0 {
				said.WriteString(lines.Text() + "\n")
			}
		}
		close(up)
	}()
	select {
	case is := <-up:
		require.True(t, is, "%s has ended: see its log:\n%s", name, &said)
	case <-time.After(time.Minute):
		t.Fatal(name + " does not come up")
	}
}
