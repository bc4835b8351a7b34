//go:build !linux

package pgtest

import "syscall"

// dying leaves a process to the test's cleanup.
func dying() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
