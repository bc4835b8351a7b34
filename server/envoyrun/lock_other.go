//go:build !unix

package envoyrun

import "os"

// tryLock takes no lock here.
func tryLock(*os.File) bool { return true }

// isOurs says that every folder may be in use: without locks nobody can tell.
func isOurs(os.FileInfo) bool { return false }
