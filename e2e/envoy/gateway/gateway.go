// Package gateway runs `antwort envoy` with a real Envoy for tests.
package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"antwort/e2e/checkout"
	"antwort/e2e/child"
	"antwort/e2e/envoy"
)

// Gateway is a running `antwort envoy`.
type Gateway struct {
	URL    string // of the API, once it is serving
	Config string // path of the configuration file
	Temp   string // where its temporary folder is

	t       testing.TB
	cmd     *exec.Cmd
	mu      sync.Mutex
	changed sync.Cond
	lines   []string
	ended   bool
	code    int
}

// limit of every wait: V8 compiles the filter for seconds, on a busy machine
// for many.
const limit = 3 * time.Minute

// Start runs a gateway with this configuration and does not wait for it. It is
// ended with the test, and its log is shown if the test has failed. env are
// further variables, as "NAME=value".
func Start(t testing.TB, config string, env ...string) *Gateway {
	t.Helper()
	file := filepath.Join(t.TempDir(), "antwort.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return StartFile(t, file, env...)
}

// StartFile is Start with a configuration that is in a file.
func StartFile(t testing.TB, file string, env ...string) *Gateway {
	t.Helper()
	g := &Gateway{Config: file, t: t, cmd: exec.Command(checkout.Antwort(t), "envoy", "--config", file, "--concurrency", "2")}
	g.changed.L = &g.mu
	// What a killed one leaves; the paths of its sockets have to be short.
	temp, err := os.MkdirTemp("", "gateway")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temp) })
	g.Temp = temp
	g.cmd.Env = append(os.Environ(), "ENVOY="+envoy.Find(t), "TMPDIR="+temp)
	g.cmd.Env = append(g.cmd.Env, env...)
	stderr, err := g.cmd.StderrPipe()
	if err == nil {
		err = child.Start(g.cmd)
	}
	if err != nil {
		t.Fatal(err)
	}
	go g.read(stderr)
	t.Cleanup(func() {
		if !g.hasEnded() {
			g.Signal(syscall.SIGABRT) // ends it at once
			g.Wait()
		}
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", strings.Join(g.Log(), "\n"))
		}
	})
	return g
}

func (g *Gateway) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		g.mu.Lock()
		g.lines = append(g.lines, lines.Text())
		g.changed.Broadcast()
		g.mu.Unlock()
	}
	err := g.cmd.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		g.code = exit.ExitCode()
	}
	g.ended = true
	g.changed.Broadcast()
}

func (g *Gateway) hasEnded() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ended
}

// Log are the lines that it has logged so far.
func (g *Gateway) Log() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.lines...)
}

// Logged waits for a line of the log that has all these words in it, the nth of
// them when n is over 1, and returns it.
func (g *Gateway) Logged(n int, words ...string) string {
	g.t.Helper()
	line, ok := "", false
	g.await(func() bool {
		found := 0
		for _, l := range g.lines {
			if hasAll(l, words) {
				if found++; found >= n {
					line, ok = l, true
					return true
				}
			}
		}
		return g.ended
	})
	if !ok {
		g.t.Fatalf("the gateway logs no line (number %d) with %q", n, words)
	}
	return line
}

func hasAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

// await waits until done reports true; it holds the lock then.
func (g *Gateway) await(done func() bool) {
	wake := time.AfterFunc(limit, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.changed.Broadcast()
	})
	defer wake.Stop()
	end := time.Now().Add(limit)
	g.mu.Lock()
	defer g.mu.Unlock()
	for !done() && time.Now().Before(end) {
		g.changed.Wait()
	}
}

var address = regexp.MustCompile(`"msg":"listening","address":"([^"]+)"`)

// Listening waits until it listens, and sets URL.
func (g *Gateway) Listening() *Gateway {
	g.t.Helper()
	line := g.Logged(1, `"msg":"listening"`)
	g.URL = "http://" + address.FindStringSubmatch(line)[1]
	return g
}

// Ready waits until it is ready.
func (g *Gateway) Ready() *Gateway {
	g.t.Helper()
	g.Listening()
	g.Logged(1, "upstream answers: ready")
	return g
}

// Signal sends a signal to the process; to one that has ended, nothing.
func (g *Gateway) Signal(s os.Signal) { _ = g.cmd.Process.Signal(s) }

// Wait waits until the process has ended and returns its exit code.
func (g *Gateway) Wait() int {
	g.t.Helper()
	g.await(func() bool { return g.ended })
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ended {
		g.t.Fatalf("the gateway does not end")
	}
	return g.code
}

// Write replaces the configuration file, as an editor does.
func (g *Gateway) Write(config string) {
	g.t.Helper()
	fresh := g.Config + ".new"
	err := os.WriteFile(fresh, []byte(config), 0o600)
	if err == nil {
		err = os.Rename(fresh, g.Config)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// Envoy is the process id of the child that serves, 0 while there is none.
func (g *Gateway) Envoy() int {
	g.t.Helper()
	own := fmt.Sprintf(" %d ", g.cmd.Process.Pid)
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		g.t.Fatal(err)
	}
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a process that has just ended
		}
		// pid (name) state parent …
		head, rest, ok := strings.Cut(string(text), ") ")
		if ok && strings.HasPrefix(rest[1:], own) {
			var pid int
			// The child that says its version comes first.
			if _, err := fmt.Sscan(head, &pid); err == nil && strings.Contains(g.CommandLine(pid), "bootstrap") {
				return pid
			}
		}
	}
	return 0
}

// FreePort returns a loopback port that nothing listens on now.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Pid is the process id of the gateway itself.
func (g *Gateway) Pid() int { return g.cmd.Process.Pid }

// CommandLine is what a process was started with, "" when it has ended.
func (g *Gateway) CommandLine(pid int) string {
	g.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return "" // it has ended
	}
	return strings.ReplaceAll(string(text), "\x00", " ")
}
