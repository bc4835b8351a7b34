package envoyrun

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

// folder holds Envoy's files, keys among them, and the sockets. Nobody else may
// read it. Its lock is that of the directory itself, held as long as it is in use.
type folder struct {
	path string
	lock *os.File
}

const folderPrefix = "antwort-envoy-"

// newFolder makes the folder. It removes those that processes left which were
// killed.
func newFolder() (*folder, error) {
	removeLeft()
	for {
		path, err := os.MkdirTemp("", folderPrefix) // mode 0700
		if err != nil {
			return nil, fmt.Errorf("cannot make a temporary folder (TMPDIR chooses where): %w", err)
		}
		f, err := takeFolder(path)
		switch {
		case errors.Is(err, errTaken):
			continue // for one that was left, by another start
		case err != nil:
			_ = os.Remove(path)
			return nil, fmt.Errorf("cannot use the temporary folder (TMPDIR chooses another one): %w", err)
		}
		return f, nil
	}
}

// errTaken is returned for a folder that another process has, or has removed.
var errTaken = errors.New("the folder is in use")

// takeFolder takes a folder that nobody uses.
func takeFolder(path string) (*folder, error) {
	dir, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errTaken
	}
	if err != nil {
		return nil, err
	}
	if !tryLock(dir) {
		_ = dir.Close()
		return nil, errTaken
	}
	// What was opened may have been removed before it was locked.
	held, err := dir.Stat()
	at, atErr := os.Lstat(path)
	if err != nil || atErr != nil || !os.SameFile(held, at) {
		_ = dir.Close()
		return nil, errTaken
	}
	return &folder{path, dir}, nil
}

// removeLeft removes the folders that nobody uses: the locks of killed processes
// are free. Those of other users, and what only has such a name, stay.
func removeLeft() {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*")) // the pattern is right
	for _, path := range left {
		if info, err := os.Lstat(path); err != nil || !info.IsDir() || !isOurs(info) {
			continue
		}
		if f, err := takeFolder(path); err == nil {
			_ = os.RemoveAll(path) // what stays, the next start tries again
			_ = f.lock.Close()
		}
	}
}

// remove removes everything in it.
func (f *folder) remove(log *slog.Logger) {
	if err := os.RemoveAll(f.path); err != nil {
		log.Warn("the temporary folder is left, with the keys in it", "problem", err.Error())
	}
	_ = f.lock.Close()
}
