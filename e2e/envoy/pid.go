package envoy

// Pid is Envoy's process id, by which its memory and time can be measured.
func (p *Process) Pid() int { return p.cmd.Process.Pid }
