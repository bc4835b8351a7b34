package envoy

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

// folder holds Envoy's files, keys among them, and the sockets. Nobody else may
// read it.
type folder struct {
	path string
	lock *os.File // held as long as the folder is in use
}

const (
	folderPrefix = "antwort-envoy-"
	lockFile     = "lock"
)

// newFolder makes the folder. It removes those that processes left which were
// killed: their locks are free.
func newFolder() (*folder, error) {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*")) // the pattern is right
	for _, path := range left {
		if lock, err := os.Open(filepath.Join(path, lockFile)); err == nil {
			if tryLock(lock) {
				_ = os.RemoveAll(path) // the next one tries again
			}
			_ = lock.Close()
		}
	}
	path, err := os.MkdirTemp("", folderPrefix) // mode 0700
	if err != nil {
		return nil, fmt.Errorf("cannot make a temporary folder (TMPDIR chooses where): %w", err)
	}
	// The lock gets its name when it is held, so that no other start takes it.
	fresh := filepath.Join(path, lockFile+".new")
	lock, err := os.Create(fresh)
	if err != nil {
		return nil, err
	}
	tryLock(lock)
	if err := os.Rename(fresh, filepath.Join(path, lockFile)); err != nil {
		return nil, err
	}
	return &folder{path, lock}, nil
}

// remove removes everything in it.
func (f *folder) remove(log *slog.Logger) {
	if err := os.RemoveAll(f.path); err != nil {
		log.Warn("the temporary folder is left, with the keys in it", "problem", err.Error())
	}
	_ = f.lock.Close()
}
