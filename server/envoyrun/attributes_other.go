//go:build !linux

package envoyrun

import "syscall"

func attributes() *syscall.SysProcAttr { return nil }
