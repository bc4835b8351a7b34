// Package child starts the programs that tools and tests run: servers, Envoys,
// the clients' suites. None outlives the one that started it, however that ends.
//
// A tool takes its context from [Context] and starts with [Start]; what it
// started ends when the context is done, or when the tool is killed.
package child

import (
	"context"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// Context is done when this program is to end: on SIGINT, SIGTERM or SIGHUP,
// and on Linux when whoever started it has ended, as make and go run do without
// telling. A second signal ends the program at once.
func Context() (context.Context, context.CancelFunc) {
	endWithParent()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// Start starts cmd in a process group of its own. On Linux it gets SIGTERM when
// this process ends, even if that was killed.
func Start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = attributes()
	begun := make(chan error)
	starts <- func() { begun <- cmd.Start() }
	return <-begun
}

// Kill ends a command that was started, and with it what is left of its group.
func Kill(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// Run starts cmd and waits for its end. When the context of cmd is done, cmd is
// killed, and with it all that it has started in its group.
func Run(cmd *exec.Cmd) error {
	cmd.Cancel = func() error { return Kill(cmd) }
	if err := Start(cmd); err != nil {
		return err
	}
	return cmd.Wait()
}

// starts is where commands are started: Linux takes the end of the thread that
// started a process for the end of its parent, and this one stays.
var starts = make(chan func())

func init() {
	go func() {
		runtime.LockOSThread()
		for start := range starts {
			start()
		}
	}()
}
