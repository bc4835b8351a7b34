package vm

import (
	"context"
	"fmt"
	"io"
	"log"
	"slices"
	"strings"
	"sync"
)

// LogLine is one line of the log. What a module writes to its standard output
// has level info, to its standard error level error; the host itself logs a
// VM's failure as critical.
type LogLine struct {
	Level   string // trace, debug, info, warn, error or critical
	Message string
}

type logs struct {
	mu      sync.Mutex
	changed sync.Cond
	lines   []LogLine
	out     io.Writer
}

// Log logs a line.
func (w *Worker) Log(level, message string) {
	l := &w.logs
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, LogLine{level, message})
	if l.out != nil {
		_, _ = fmt.Fprintf(l.out, "%s: %s\n", level, message)
	}
	l.changed.Broadcast()
	if w.trace != nil {
		w.tracef("log: %s", message)
	}
}

// Logf is Log with a format.
func (w *Worker) Logf(level, format string, a ...any) { w.Log(level, fmt.Sprintf(format, a...)) }

// Logs gives what was logged so far, oldest first.
func (w *Worker) Logs() []LogLine {
	l := &w.logs
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// WaitLog waits until a line that contains text has been logged, now or
// before. It gives ctx's error if that comes first.
func (w *Worker) WaitLog(ctx context.Context, text string) error {
	l := &w.logs
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.changed.Broadcast()
	})
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for seen := 0; ; {
		for ; seen < len(l.lines); seen++ {
			if strings.Contains(l.lines[seen].Message, text) {
				return nil
			}
		}
		if ctx.Err() != nil {
			return fmt.Errorf("no log line contains %q: %w", text, ctx.Err())
		}
		l.changed.Wait()
	}
}

// LastLogs gives the last n messages.
func (w *Worker) LastLogs(n int) string {
	l := &w.logs
	l.mu.Lock()
	defer l.mu.Unlock()
	var messages []string
	for _, line := range l.lines[max(0, len(l.lines)-n):] {
		messages = append(messages, line.Message)
	}
	if messages == nil {
		return "nothing"
	}
	return strings.Join(messages, " | ")
}

// logWriter logs what the module writes to its standard output or error.
type logWriter struct {
	w     *Worker
	level string
}

// Write logs a line.
func (l logWriter) Write(p []byte) (int, error) {
	l.w.Log(l.level, strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// ServerLog is for what net/http logs.
func (w *Worker) ServerLog() *log.Logger { return log.New(logWriter{w, "debug"}, "", 0) }

var levels = []string{"trace", "debug", "info", "warn", "error", "critical"}

func hostLog(c args) Status {
	level := c.u32(0)
	if int(level) >= len(levels) {
		return BadArgument
	}
	c.v.w.Log(levels[level], c.string(1))
	return OK
}
