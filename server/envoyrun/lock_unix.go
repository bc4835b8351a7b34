//go:build unix

package envoyrun

import (
	"os"
	"syscall"
)

// tryLock takes the lock of f unless another process has it. The lock ends with
// f or the process.
func tryLock(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// isOurs reports whether a folder is this user's, and nobody else may enter it.
func isOurs(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid() && info.Mode().Perm() == 0o700
}
