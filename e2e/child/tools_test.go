package child

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// asShipped is the environment in which what is compiled here, and by the tools, shares
// the build cache with antwort itself.
var asShipped = []string{"CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false -vet=off -gcflags=all=-dwarf=false"}

// consoleServers starts a server and waits; then it is called otherwise.
const consoleServers = `import { freePort, start } from "./console/servers.mjs"
const port = String(await freePort())
await start("http://127.0.0.1:" + port + "/v1/models", 60000, "../bin/antwort", "mock-llm", "--port", port)
process.title = "all are " + "started"
setInterval(() => {}, 1000)`

// Whatever ends them, the tools leave none of the servers running that they
// have started.
func TestToolsLeaveNothingRunning(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("processes are found by Linux's /proc")
	}
	require.NoError(t, os.Chdir(".."), "tools run in the module's folder")
	bin := t.TempDir()
	for _, args := range [][]string{
		{"build", "-o", bin, "./bench", "./clients/run"},
		{"test", "-c", "-o", bin, "./clients/codexrequests"}, // so that the tool finds it compiled, which takes longer than it may wait
	} {
		build := exec.Command("go", args...)
		build.Env = append(append(os.Environ(), "GOGC=off", "GOMEMLIMIT=1GiB"), asShipped...) // as in the Makefile
		out, err := build.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	slow := t.TempDir() // a setpriv that takes its time: what is started may be killed meanwhile
	script := "#!/bin/sh\nsleep 0.2\nPATH=${PATH#*:}\nexec setpriv \"$@\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(slow, "setpriv"), []byte(script), 0o700)) //nolint:gosec // it is run
	for _, tool := range []struct {
		name    string
		command []string
		last    string // of what it starts before it waits or measures
	}{
		{"bench", []string{filepath.Join(bin, "bench"), "-envoy=", "-only=frontend of the chain"}, "reverseproxy"},
		{"clients", []string{filepath.Join(bin, "run"), "-chain=serve", "codex-requests"}, "codexrequests.test"},
		// What the console's tests and its soak start servers with, without their browser.
		{"console", []string{"node", "--input-type=module", "-e", consoleServers}, "all are started"},
		{"demo", []string{"../quickstarts/06-responses-proxy/local.sh", "run"}, "frontend.yaml"},
		{"demo, slowly", []string{"env", "PATH=" + slow + ":" + os.Getenv("PATH"), "../quickstarts/06-responses-proxy/local.sh", "run"}, "frontend.yaml"},
	} {
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL} {
			t.Run(tool.name+", "+signal.String(), func(t *testing.T) {
				if _, err := exec.LookPath(tool.command[0]); err != nil {
					t.Skip(err)
				}
				mark := fmt.Sprintf("CHILD_MARK=%s-%d-%d", tool.name, signal, os.Getpid())
				cmd := exec.Command(tool.command[0], tool.command[1:]...)
				cmd.Env = append(append(os.Environ(), mark, "ENVOY=none"), asShipped...)
				require.NoError(t, Start(cmd))
				t.Cleanup(func() {
					for _, p := range marked(t, mark) {
						_ = syscall.Kill(p.pid, syscall.SIGKILL) // it may have ended
					}
				})
				require.Eventually(t, func() bool {
					for _, p := range marked(t, mark) {
						if strings.Contains(p.command, tool.last) {
							return true
						}
					}
					return false
				}, limit, 10*time.Millisecond, "%s did not start %s", tool.name, tool.last)
				require.NoError(t, cmd.Process.Signal(signal))
				_ = cmd.Wait() // by the signal or not
				left := marked(t, mark)
				for end := time.Now().Add(limit); len(left) > 0 && time.Now().Before(end); left = marked(t, mark) {
					time.Sleep(10 * time.Millisecond)
				}
				require.Empty(t, left, "these still run")
			})
		}
	}
}

type process struct {
	pid     int
	command string
}

// marked are the processes with a variable in their environment.
func marked(t *testing.T, variable string) (all []process) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	require.NoError(t, err)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		env, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ")) // none: it has ended
		if bytes.Contains(env, []byte(variable)) {
			command, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
			all = append(all, process{pid, string(bytes.ReplaceAll(command, []byte{0}, []byte{' '}))})
		}
	}
	return all
}
