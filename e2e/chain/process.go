package chain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"antwort/e2e/child"
)

// A Process is a running program whose output goes to a log file.
type Process struct {
	name, log string
	cmd       *exec.Cmd
	ended     chan struct{} // closed when the process has ended; err is set then
	err       error
}

const stopLimit = 40 * time.Second // longer than the server's default drain time

// StartProcess starts a program that writes to the file log. It ends with ctx at
// the latest, by SIGTERM, and with this process, however that ends.
func StartProcess(ctx context.Context, name, log, program string, args ...string) (*Process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the child has its own descriptor
	p := &Process{name: name, log: log, ended: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, program, args...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = stopLimit
	if err := child.Start(p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// WaitReady returns when url answers 200, at the latest after limit.
func (p *Process) WaitReady(ctx context.Context, url string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	last := "no answer"
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			last = resp.Status
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended before it was ready (%s); its last lines:\n%s", p.name, p.how(), p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s not ready after %s (%s from %s); its last lines:\n%s", p.name, limit, last, url, p.tail())
		case <-time.After(50 * time.Millisecond): // nothing announces readiness but the answer itself
		}
	}
}

// Stop ends the process with SIGTERM and returns an error that tells how it
// ended when that was not with status 0.
func (p *Process) Stop() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s ended by itself (%s); its last lines:\n%s", p.name, p.how(), p.tail())
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(stopLimit):
		_ = child.Kill(p.cmd) // reported as not having stopped
		<-p.ended
		return fmt.Errorf("%s did not stop within %s of SIGTERM; its last lines:\n%s", p.name, stopLimit, p.tail())
	}
	if p.err != nil {
		return fmt.Errorf("%s after SIGTERM: %w; its last lines:\n%s", p.name, p.err, p.tail())
	}
	return nil
}

// Kill ends the process with SIGKILL, as a node that fails does. It must not be
// stopped then.
func (p *Process) Kill() error {
	err := child.Kill(p.cmd)
	<-p.ended
	return err
}

// how says how the process has ended.
func (p *Process) how() string {
	if p.err == nil {
		return "status 0"
	}
	return p.err.Error()
}

// tail is the end of the log, to be shown with an error.
func (p *Process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-10):], "\n  ")
}

// FreePort returns a loopback port that nothing listens on now.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }
