package postgres

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"antwort/server/state"
	"antwort/server/state/statetest"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hold has what is locked of a conversation and of a job until the process ends.
func hold(t *testing.T, s *Store, conversation, job string) {
	err := s.transact(ctx, func(tx pgx.Tx) error {
		if _, err := find(ctx, tx, alice, conversation); err != nil {
			return err
		}
		if _, _, _, err := lock(ctx, tx, job); err != nil {
			return err
		}
		fmt.Println("held")
		select {}
	})
	require.NoError(t, err)
}

// A replica that dies, or hangs, while it has locked rows keeps others waiting for no
// longer than a bound, and for nothing but these rows.
func TestReplicaThatHoldsALock(t *testing.T) {
	if held := os.Getenv("POSTGRES_TEST_HELD"); held != "" {
		conversation, job, _ := strings.Cut(held, " ")
		hold(t, opened(t, os.Getenv("POSTGRES_TEST_URL"), nil), conversation, job)
	}
	pg := own(t)
	url := pg.Schema(t)
	t.Setenv("POSTGRES_TEST_URL", url)
	for name, c := range map[string]struct {
		signal syscall.Signal
		bound  time.Duration
	}{"killed": {syscall.SIGKILL, time.Minute}, "hanging": {syscall.SIGSTOP, heldTime + time.Minute}} {
		t.Run(name, func(t *testing.T) {
			s := opened(t, url, nil)
			conversation, other := statetest.Conversation(t, s, alice, "one"), statetest.Conversation(t, s, alice)
			job := statetest.Job(alice, "")
			require.NoError(t, s.Accept(ctx, job, 0))
			t.Setenv("POSTGRES_TEST_HELD", conversation.ID+" "+job.ID)
			replica := exec.Command(os.Args[0], "-test.run=^TestReplicaThatHoldsALock$") //nolint:gosec // it is the test itself
			replica.Stderr = os.Stderr
			out, err := replica.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, replica.Start())
			defer func() {
				_ = replica.Process.Kill()
				_ = replica.Wait()
			}()
			said, err := bufio.NewReader(out).ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "held\n", said)
			require.NoError(t, replica.Process.Signal(c.signal))

			begun := time.Now()
			require.NoError(t, s.Lock(ctx, alice, other.ID, "me", time.Minute))
			commit(t, s, "")
			_, err = s.Get(ctx, alice, job.ID)
			require.NoError(t, err)
			assert.Less(t, time.Since(begun), heldTime/2, "what is not locked is not waited for")
			require.NoError(t, s.Lock(ctx, alice, conversation.ID, "me", time.Minute))
			_, err = s.Cancel(ctx, alice, job.ID, func(r *state.Record, _ []state.Events) []byte {
				r.Status = state.Cancelled
				return nil
			})
			require.NoError(t, err)
			assert.Less(t, time.Since(begun), c.bound)
			t.Logf("%s: %v", name, time.Since(begun))
		})
	}
}
