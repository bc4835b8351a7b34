package program

import "syscall"

// Dying lets a process end by a signal when the test's does.
func Dying(by syscall.Signal) *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: by} }
