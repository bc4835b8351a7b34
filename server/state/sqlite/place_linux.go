package sqlite

import "syscall"

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

// networkFileSystem names the network file system that a folder is on; "": none.
func networkFileSystem(folder string) string {
	var fs syscall.Statfs_t
	if syscall.Statfs(folder, &fs) != nil {
		return "" // opening the file will say more
	}
	return networkNames[int64(uint32(fs.Type))] //nolint:gosec // the type has 32 bits, however wide the field is
}
