package filtertest

import (
	"context"

	"antwort/filter/filtertest/vm"
)

// LogLine is one line of the log. What a module writes to its standard output
// has level info, to its standard error level error; the host itself logs a
// VM's failure as critical.
type LogLine = vm.LogLine

// Logs gives what was logged so far, oldest first.
func (h *Host) Logs() []LogLine { return h.w.Logs() }

// WaitLog waits until a line that contains text has been logged, now or
// before. It gives ctx's error if that comes first.
func (h *Host) WaitLog(ctx context.Context, text string) error { return h.w.WaitLog(ctx, text) }
