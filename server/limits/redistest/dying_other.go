//go:build !linux

package redistest

import "syscall"

// dying leaves a process to the test's cleanup.
func dying() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
