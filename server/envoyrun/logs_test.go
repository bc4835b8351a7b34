package envoyrun

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParseLine(t *testing.T) {
	for line, want := range map[string]struct {
		level        slog.Level
		logger, text string
	}{
		"info main starting":                {slog.LevelInfo, "main", "starting"},
		"trace http2 a b c":                 {slog.LevelDebug, "http2", "a b c"},
		"warning config update rejected: x": {slog.LevelWarn, "config", "update rejected: x"},
		"critical main bad":                 {slog.LevelError, "main", "bad"},
		"error wasm wasm log antwort antwort-0: antwort: configuration: filter.profile: got x": {slog.LevelError, "filter", "antwort: configuration: filter.profile: got x"},
		"error wasm Plugin configured to fail closed":                                          {slog.LevelError, "wasm", "Plugin configured to fail closed"},
		"warning main caught ENVOY_SIGTERM":                                                    {slog.LevelDebug, "main", "caught ENVOY_SIGTERM"},
		"terminate called without an active exception":                                         {slog.LevelError, "", "terminate called without an active exception"},
		"warning jwt Jwks async fetching url=https://a/jwks?key=hush: failed":                  {slog.LevelWarn, "jwt", "Jwks async fetching url=https://a/jwks failed"},
		"info": {slog.LevelError, "", "info"},
	} {
		t.Run(line, func(t *testing.T) {
			level, logger, text := parseLine(line)
			assert.Equal(t, want.level, level)
			assert.Equal(t, want.logger, logger)
			assert.Equal(t, want.text, text)
		})
	}
}

func TestPassLines(t *testing.T) {
	long := strings.Repeat("x", maxLine+10)
	for name, c := range map[string]struct{ in, out string }{
		"whole lines":       {"a\nb\n", "a\nb\n"},
		"no end":            {"a\nb", "a\nb\n"},
		"several at a time": {"a\nb\nc", "a\nb\nc\n"},
		"one that is long":  {long + "\nb\n", long[:maxLine] + "\n" + long[maxLine:] + "\nb\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			passLines(strings.NewReader(c.in), &out)
			assert.Equal(t, c.out, out.String())
		})
	}
}
