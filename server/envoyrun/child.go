package envoyrun

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// child is the process of Envoy.
type child struct {
	cmd   *exec.Cmd
	log   *slog.Logger
	ended chan struct{} // closed when it has ended; err is set then
	err   error
	sent  sync.Once // a signal to end
}

// start runs Envoy. Its output becomes lines of the log.
func start(opt Options, args []string, folder string) (*child, error) {
	c := &child{log: opt.Log, ended: make(chan struct{})}
	c.cmd = exec.Command(opt.Binary, args...)
	c.cmd.Dir, c.cmd.Env = folder, environment(os.Environ())
	c.cmd.SysProcAttr = attributes()
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	begun := make(chan error)
	go func() {
		// Linux ends a child with the thread that started it: this one stays.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		begun <- err
		if err != nil {
			return
		}
		var read sync.WaitGroup
		read.Go(func() { passLines(stdout, opt.Output) })
		read.Go(func() { logLines(stderr, opt.Log) })
		read.Wait()
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	if err := <-begun; err != nil {
		return nil, fmt.Errorf("cannot run envoy: %w", err)
	}
	return c, nil
}

// died is the error of a child that ended by itself.
func (c *child) died() error {
	<-c.ended
	how := "exit code 0"
	if c.err != nil {
		how = c.err.Error()
	}
	return fmt.Errorf("envoy ended by itself (%s): its log above may say why", how)
}

// stopTime is how long Envoy may take to end.
const stopTime = 5 * time.Second

// stop ends the child and waits for it: at once when cut ends.
func (c *child) stop(cut context.Context) {
	c.sent.Do(func() {
		_ = c.cmd.Process.Signal(syscall.SIGTERM) // one that has ended is seen below
		limit := time.NewTimer(stopTime)
		defer limit.Stop()
		select {
		case <-c.ended:
			return
		case <-cut.Done():
		case <-limit.C:
			c.log.Warn("Envoy does not end: it is killed")
		}
		_ = c.cmd.Process.Signal(os.Kill)
		<-c.ended
	})
}

// kill ends what stop has not ended.
func (c *child) kill() {
	c.sent.Do(func() {
		select {
		case <-c.ended:
		default:
			_ = c.cmd.Process.Signal(os.Kill)
			<-c.ended
		}
	})
}
