package sqlite

import (
	"errors"
	"fmt"
	"os"
)

// errLocked is that another process has the file.
var errLocked = errors.New("another process has the lock")

// takeLock keeps every other process out of the file, until the lock is closed or
// the process ends.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := tryLock(f); err != nil {
		_ = f.Close()
		if errors.Is(err, errLocked) {
			return nil, fmt.Errorf("%s is in use: another antwort has it, and only one can; for several use state.type postgres", path)
		}
		return nil, fmt.Errorf("%s.lock: %w", path, err)
	}
	return f, nil
}
