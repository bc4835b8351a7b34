package statetest

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"

	"antwort/server/state"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// crashVariable tells a test's process that it is the one to be killed.
const crashVariable = "STATETEST_CRASH"

// IsCrashed reports whether the process is one that Crash has started. The test
// then calls Commits with the store that is to outlive it.
func IsCrashed() bool { return os.Getenv(crashVariable) != "" }

// Commits commits turns of several conversations until the process is killed, and
// writes the id of each to standard output once it is committed.
func Commits(s state.Store) {
	var chats sync.WaitGroup
	prefix := fmt.Sprintf("%08x", rand.Uint32()) //nolint:gosec // it only has to differ
	for chat := range 4 {
		chats.Go(func() {
			parent := ""
			for turn := 1; ; turn++ {
				r := Turn(alice, parent)
				r.ID, r.TTL = fmt.Sprintf("%sc%dt%d", prefix, chat, turn), 0
				if err := s.Commit(context.Background(), r); err != nil {
					fmt.Println("FAILED", err)
					return
				}
				fmt.Println(r.ID, turn)
				parent = r.ID
			}
		})
	}
	chats.Wait()
}

// Crash kills a process at any point while it commits, again and again, and expects
// of the store all that the process was told. test is the name of the test that
// calls Commits; reopen opens the store that it had.
func Crash(t *testing.T, test string, reopen func() state.Store) {
	var told int
	for round := 0; told < 500; round++ {
		cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$") //nolint:gosec // it is the test itself
		cmd.Env = append(os.Environ(), crashVariable+"=1")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		after := 1 + rand.IntN(100) //nolint:gosec // any point will do
		depths := map[string]int{}
		for lines := bufio.NewScanner(out); lines.Scan(); { // what was told before it died too
			var id string
			var depth int
			_, err := fmt.Sscanf(lines.Text(), "%s %d", &id, &depth)
			if !assert.NoError(t, err, lines.Text()) {
				break
			}
			if depths[id] = depth; len(depths) == after {
				require.NoError(t, cmd.Process.Kill())
			}
		}
		_ = cmd.Wait()
		require.GreaterOrEqual(t, len(depths), after)
		s := reopen()
		for id, depth := range depths {
			turns, err := s.Chain(context.Background(), alice, id, state.Bounds{})
			if assert.NoError(t, err, "round %d, %s", round, id) {
				assert.Len(t, turns, depth)
			}
		}
		require.NoError(t, s.Close())
		told += len(depths)
	}
	t.Logf("%d turns told", told)
}
