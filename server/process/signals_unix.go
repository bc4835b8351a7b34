//go:build unix

package process

import (
	"os"
	"syscall"
)

var ignoredSignals = []os.Signal{syscall.SIGPIPE, syscall.SIGALRM, syscall.SIGUSR1, syscall.SIGUSR2}
