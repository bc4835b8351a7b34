// Package envoy runs a real Envoy as a child process for tests.
package envoy

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"antwort/e2e/checkout"
	"antwort/e2e/child"
)

// Find gives Envoy's binary: the one that the environment variable ENVOY
// names, else the one that e2e/envoy/install has installed. A test that asked
// for one by ENVOY fails if it is not there; without any the test is skipped.
func Find(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("ENVOY"); path != "" {
		found, err := exec.LookPath(path)
		if err != nil {
			t.Fatalf("ENVOY names no program: %v", err)
		}
		return found
	}
	path := filepath.Join(checkout.Root(), "e2e", ".cache", "envoy", "envoy", "_bin", "envoy")
	if _, err := os.Stat(path); err != nil {
		t.Skip("no Envoy: run e2e/envoy/install, or set ENVOY to the path of one")
	}
	return path
}

// Process is a running Envoy. Its log is kept and can be read while it grows.
type Process struct {
	Admin string // host and port of the admin interface

	cmd     *exec.Cmd
	mu      sync.Mutex
	changed sync.Cond
	log     []string
	exited  bool
}

// Start runs Envoy with one worker and waits until it is live. It is stopped
// when the test ends, and the end of its log is shown if the test has failed.
// Lines of the log are "[logger][level] text".
func Start(t testing.TB, bootstrap []byte, args ...string) *Process {
	t.Helper()
	dir := t.TempDir()
	config, admin := filepath.Join(dir, "bootstrap.json"), filepath.Join(dir, "admin")
	if err := os.WriteFile(config, bootstrap, 0o644); err != nil {
		t.Fatal(err)
	}
	args = append([]string{
		"-c", config, "--concurrency", "1", "--use-dynamic-base-id",
		"--admin-address-path", admin, "--log-format", "[%n][%l] %v",
	}, args...)
	p := &Process{cmd: exec.Command(Find(t), args...)}
	p.changed.L = &p.mu
	stderr, err := p.cmd.StderrPipe()
	if err == nil {
		err = child.Start(p.cmd)
	}
	if err != nil {
		t.Fatalf("start Envoy: %v", err)
	}
	t.Cleanup(func() { p.stop(t) })
	go p.read(stderr)
	if err := p.live(admin); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *Process) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		p.log = append(p.log, lines.Text())
		p.changed.Broadcast()
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exited = true
	p.changed.Broadcast()
}

// startTime is how long Envoy may take to compile the module on a busy machine.
const startTime = 2 * time.Minute

// live waits until Envoy serves.
func (p *Process) live(adminFile string) error {
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		p.mu.Lock()
		exited := p.exited
		p.mu.Unlock()
		if exited {
			return errors.New("envoy has exited")
		}
		address, err := os.ReadFile(adminFile)
		if err != nil || len(address) == 0 {
			continue
		}
		p.Admin = strings.TrimSpace(string(address))
		if ready, err := p.Get("/ready"); err == nil && strings.Contains(ready, "LIVE") {
			return nil
		}
	}
	return fmt.Errorf("envoy is not live after %v", startTime)
}

// Get asks the admin interface and gives the answer's body.
func (p *Process) Get(path string) (string, error) {
	response, err := http.Get("http://" + p.Admin + path)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	b, err := io.ReadAll(response.Body)
	return string(b), err
}

// Listener gives the host and port of a listener by its name.
func (p *Process) Listener(name string) (string, error) {
	text, err := p.Get("/listeners?format=json")
	if err != nil {
		return "", err
	}
	var list struct {
		Statuses []struct {
			Name    string `json:"name"`
			Address struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return "", err
	}
	for _, l := range list.Statuses {
		if l.Name == name {
			return fmt.Sprintf("%s:%d", l.Address.Socket.Address, l.Address.Socket.Port), nil
		}
	}
	return "", fmt.Errorf("envoy has no listener %q", name)
}

// LogLine gives line n of the log, waiting for it. It gives ctx's error if that
// comes first, and another when Envoy has exited.
func (p *Process) LogLine(ctx context.Context, n int) (string, error) {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.changed.Broadcast()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for n >= len(p.log) {
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case p.exited:
			return "", errors.New("envoy has exited")
		}
		p.changed.Wait()
	}
	return p.log[n], nil
}

// LogLines is how many lines the log has now.
func (p *Process) LogLines() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.log)
}

// stop ends Envoy: no test waits for its streams to drain.
func (p *Process) stop(t testing.TB) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		_ = p.cmd.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-done
	}
	if t.Failed() {
		p.mu.Lock()
		defer p.mu.Unlock()
		t.Logf("Envoy's log ends:\n%s", strings.Join(p.log[max(0, len(p.log)-30):], "\n"))
	}
}
