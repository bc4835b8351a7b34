package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// networkNames are the file systems whose locks or writes SQLite cannot rely on, by
// the number that statfs(2) gives.
var networkNames = map[int64]string{
	0x6969:     "NFS",
	0x517b:     "SMB",
	0xff534d42: "SMB",
	0xfe534d42: "SMB",
	0x5346414f: "AFS",
	0x73757245: "Coda",
}

// onNetwork is an error where the folder of a file is on a network file system, or the file
// alone: it may be a link, or mounted into the folder.
func onNetwork(path string, fileSystem func(place string) int64) error {
	for _, place := range [...]string{filepath.Dir(path), path} {
		if kind := networkNames[fileSystem(place)]; kind != "" {
			return fmt.Errorf("%s is on %s, where SQLite files break: put it on a disk of this machine, or use state.type postgres", path, kind)
		}
	}
	return nil
}

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
