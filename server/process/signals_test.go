//go:build unix

package process

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// send sends this process a signal. Without Catch it would not live on.
func send(t *testing.T, s syscall.Signal) {
	t.Helper()
	require.NoError(t, syscall.Kill(os.Getpid(), s))
}

func wait(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(guard):
		t.Fatalf("no %s", what)
	}
}

func TestSignals(t *testing.T) {
	for _, end := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(end.String(), func(t *testing.T) {
			s, stop := Catch(t.Context())
			defer stop()
			for _, other := range []syscall.Signal{syscall.SIGPIPE, syscall.SIGALRM, syscall.SIGUSR1, syscall.SIGUSR2} {
				send(t, other)
			}
			send(t, syscall.SIGHUP)
			wait(t, s.Reload, "request to read the configuration again")
			require.NoError(t, s.End.Err())

			send(t, end)
			wait(t, s.End.Done(), "end")
			require.NoError(t, s.Cut.Err())
			send(t, syscall.SIGHUP) // asks for nothing any more, and ends nothing
			send(t, end)
			wait(t, s.Cut.Done(), "end at once")
		})
	}
}

func TestSignalThatCuts(t *testing.T) {
	s, stop := Catch(t.Context(), syscall.SIGABRT)
	defer stop()
	send(t, syscall.SIGABRT)
	wait(t, s.Cut.Done(), "end at once")
	require.Error(t, s.End.Err())
}
