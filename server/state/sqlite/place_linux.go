package sqlite

import "syscall"

// fileSystem is the kind of file system that a folder or a file is on: the number that
// statfs(2) gives; 0: unknown, or there is no such place.
func fileSystem(place string) int64 {
	var fs syscall.Statfs_t
	if syscall.Statfs(place, &fs) != nil {
		return 0 // opening the file will say more
	}
	return int64(uint32(fs.Type)) //nolint:gosec // the type has 32 bits, however wide the field is
}
