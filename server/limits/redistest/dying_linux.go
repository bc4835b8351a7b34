package redistest

import "syscall"

// dying lets a process end when the test's does.
func dying() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
