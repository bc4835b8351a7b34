//go:build !linux

package program

import "testing"

// Disk skips the test: only Linux gives a process mounts of its own.
func Disk(t *testing.T, _ int) (folder string, mine bool) {
	t.Helper()
	t.Skip("only Linux gives a process mounts of its own")
	return "", false
}

// Fill is never called.
func Fill(*testing.T, string) (free func()) { return func() {} }

// ReadOnly is never called.
func ReadOnly(*testing.T, string) {}
