//go:build !linux

package program

import "syscall"

// Dying leaves a process to the test's cleanup.
func Dying(syscall.Signal) *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
