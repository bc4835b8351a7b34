//go:build unix

package envoy

import (
	"os"
	"syscall"
)

// tryLock takes the lock of f unless another process has it. The lock ends with
// f or the process.
func tryLock(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
