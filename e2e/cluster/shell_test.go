package cluster

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shell is the user's terminal: one bash in the repository, which keeps
// variables and background commands from block to block.
type shell struct {
	t     *testing.T
	in    io.WriteCloser
	lines chan string
}

const end = "__end_of_block__"

func openShell(t *testing.T) *shell {
	t.Helper()
	cmd := exec.Command("bash")
	cmd.Dir = tree
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	s := &shell{t, in, make(chan string, 1000)}
	go func() {
		for lines := bufio.NewScanner(r); lines.Scan(); {
			s.lines <- lines.Text()
		}
		close(s.lines)
	}()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // port-forwards too
		in.Close()
		cmd.Wait()
		r.Close()
	})
	return s
}

// run runs a block and returns what it prints. It fails the test when the last
// command does, or takes longer than two minutes.
func (s *shell) run(text string) string {
	s.t.Helper()
	// Each block has its own output: what an earlier one has left running in
	// the background goes on writing there.
	if _, err := fmt.Fprintf(s.in, "set -o pipefail; __out=$(mktemp)\n{\n%s\n} >$__out 2>&1\n__status=$?; cat $__out; echo; echo %s $__status\n", text, end); err != nil {
		s.t.Fatal(err)
	}
	var out strings.Builder
	timeout := time.After(2 * time.Minute)
	for {
		select {
		case line, open := <-s.lines:
			if !open {
				s.t.Fatalf("the shell has ended after:\n%s\noutput:\n%s", text, out.String())
			}
			if status, ended := strings.CutPrefix(line, end+" "); ended {
				if status != "0" {
					s.t.Errorf("exit status %s of:\n%s\noutput:\n%s", status, text, out.String())
				}
				return strings.TrimSpace(out.String())
			}
			out.WriteString(line + "\n")
		case <-timeout:
			s.t.Fatalf("no end after two minutes of:\n%s\noutput:\n%s", text, out.String())
		}
	}
}
