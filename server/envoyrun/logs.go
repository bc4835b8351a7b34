package envoyrun

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"strings"
)

// logFormat is the form in which Envoy writes its log for us: level, logger and
// text.
const logFormat = "%l %n %v"

// maxLine bounds a line of Envoy's output, in bytes; the rest is a line of its
// own.
const maxLine = 64 << 10

// logLines makes each line of Envoy's log one of ours, until r ends.
func logLines(r io.Reader, log *slog.Logger) {
	eachLine(r, func(line []byte) {
		level, logger, text := parseLine(string(line))
		if text != "" {
			log.Log(context.Background(), level, text, "source", "envoy", "logger", logger)
		}
	})
}

var levels = map[string]slog.Level{
	"trace": slog.LevelDebug, "debug": slog.LevelDebug, "info": slog.LevelInfo,
	"warning": slog.LevelWarn, "error": slog.LevelError, "critical": slog.LevelError,
}

// parseLine takes a line of logFormat apart. Another one, such as the last words
// of a crash, is an error as it stands.
func parseLine(line string) (level slog.Level, logger, text string) {
	name, rest, ok := strings.Cut(line, " ")
	level, known := levels[name]
	logger, text, cut := strings.Cut(rest, " ")
	switch {
	case !ok || !known || !cut:
		return slog.LevelError, "", strings.TrimSpace(line)
	case text == "caught ENVOY_SIGTERM": // from us
		level = slog.LevelDebug
	case logger == "wasm":
		// "wasm log PLUGIN ROOT VM: text"
		if head, said, ok := strings.Cut(text, ": "); ok && strings.HasPrefix(head, "wasm log") {
			logger, text = "filter", said
		}
	case logger == "jwt": // a query of auth.jwt.jwks_url may have a key
		text = query.ReplaceAllString(text, "")
	}
	return level, logger, text
}

// query is that of a URL in a text.
var query = regexp.MustCompile(`\?\S*`)

// passLines writes whole lines to w, until r ends: as many at a time as have
// come, since Envoy gathers them too.
func passLines(r io.Reader, w io.Writer) {
	buf := make([]byte, 0, maxLine)
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		whole := bytes.LastIndexByte(buf, '\n') + 1
		if whole == 0 && (len(buf) == cap(buf) || err != nil && len(buf) > 0) {
			_, _ = w.Write(append(buf, '\n'))
			buf = buf[:0]
		}
		if whole > 0 {
			_, _ = w.Write(buf[:whole]) // a log that cannot be written has nobody to tell
			buf = append(buf[:0], buf[whole:]...)
		}
		if err != nil && len(buf) == 0 {
			return
		}
	}
}

// eachLine calls do with every line, without its end; the line is valid during
// the call.
func eachLine(r io.Reader, do func(line []byte)) {
	in := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			do(bytes.Clone(line))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}
