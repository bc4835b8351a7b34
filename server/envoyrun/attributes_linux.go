package envoyrun

import "syscall"

// attributes make Envoy end with this process however it ends, and keep the
// terminal's Ctrl-C from it: this process drains it first.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
