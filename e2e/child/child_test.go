package child

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// limit is how long anything may take before a test gives up waiting.
const limit = time.Minute

// TestMain is the tests, or a tool that starts a program: CHILD_TOOL says how.
// Both hold descriptor 3 until they end.
func TestMain(m *testing.M) {
	how := os.Getenv("CHILD_TOOL")
	if how == "" {
		os.Exit(m.Run())
	}
	ctx, stop := Context()
	defer stop()
	cmd := exec.CommandContext(ctx, "sh", "-c", "sleep 1000 & echo started >&3; wait")
	if how == "start" {
		cmd = exec.Command("sh", "-c", "echo started >&3; exec sleep 1000")
	}
	cmd.ExtraFiles = []*os.File{os.NewFile(3, "held")}
	if how == "run" {
		_ = Run(cmd) // killed
		return
	}
	if err := Start(cmd); err != nil {
		panic(err)
	}
	<-ctx.Done()
}

// tool starts this binary as a tool and waits until its program runs. What is
// given is closed when both have ended.
func tool(t *testing.T, how, program string, args ...string) (*exec.Cmd, *os.File) {
	t.Helper()
	held, in, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { held.Close() })
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "CHILD_TOOL="+how)
	cmd.ExtraFiles = []*os.File{in}
	require.NoError(t, cmd.Start())
	in.Close()
	require.NoError(t, held.SetReadDeadline(time.Now().Add(limit)))
	line, err := bufio.NewReader(held).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "started\n", line)
	return cmd, held
}

func TestProgramsEndWithTheirTool(t *testing.T) {
	for _, how := range []string{"start", "run"} {
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL} {
			if how == "run" && signal == syscall.SIGKILL {
				continue // nobody is there to kill the group
			}
			t.Run(how+", "+signal.String(), func(t *testing.T) {
				cmd, held := tool(t, how, os.Args[0])
				require.NoError(t, cmd.Process.Signal(signal))
				_, err := io.Copy(io.Discard, held)
				require.NoError(t, err, "something that the tool has started still runs")
				_ = cmd.Wait() // by the signal or not
			})
		}
	}
}

// make and go run end without a word to what they run.
func TestToolEndsWithWhoStartedIt(t *testing.T) {
	cmd, held := tool(t, "start", "sh", "-c", `"$0" & wait`, os.Args[0])
	require.NoError(t, cmd.Process.Kill())
	_, err := io.Copy(io.Discard, held)
	require.NoError(t, err, "the tool or its program still runs")
	_ = cmd.Wait() // killed
}
