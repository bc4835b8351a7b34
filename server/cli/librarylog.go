package cli

import (
	"bytes"
	"log"
	"log/slog"
)

// libraryLog makes the lines that libraries write to the log of package log lines
// of ours. net/http quotes in them what came from a backend, which may be somebody's
// answer: from the first quote on nothing is kept.
func libraryLog(to *slog.Logger) {
	log.SetFlags(0)
	log.SetOutput(libraryLines{to})
}

type libraryLines struct{ to *slog.Logger }

func (l libraryLines) Write(p []byte) (int, error) {
	text, _, _ := bytes.Cut(bytes.TrimSpace(p), []byte(`"`))
	l.to.Debug("a library says", "text", string(bytes.TrimSpace(text)))
	return len(p), nil
}
