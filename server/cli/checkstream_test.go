package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheckStream(t *testing.T) {
	const good = "../../shared/streamcheck/testdata/text_then_call.sse"
	b, err := os.ReadFile(good)
	require.NoError(t, err)
	bad := filepath.Join(t.TempDir(), "bad.sse")
	require.NoError(t, os.WriteFile(bad, []byte(strings.Replace(string(b), `"sequence_number":5`, `"sequence_number":6`, 1)), 0o600))

	for name, tt := range map[string]struct {
		file        string
		code        int
		out, stderr string
	}{
		"good":    {good, exitOK, "OK: 40 events, 2 items, 29 deltas, ends with response.completed\n", ""},
		"failed":  {"../../shared/streamcheck/testdata/cut.sse", exitOK, "ends with response.failed\n", ""},
		"bad":     {bad, exitRun, "event 6 (byte 2642): sequence: expected sequence_number 5, got 6\n", "breaks the rules"},
		"empty":   {os.DevNull, exitRun, "event 0 (byte 0): order: expected response.created, the stream has no events\n", "breaks the rules"},
		"no file": {"absent.sse", exitUsage, "", "absent.sse"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, stderr := run(t, "check-stream", tt.file)
			assert.Equal(t, tt.code, code, stderr)
			assert.Contains(t, out, tt.out)
			assert.Contains(t, stderr, tt.stderr)
		})
	}
	code, _, stderr := run(t, "check-stream", "-")
	assert.Equal(t, exitRun, code, stderr)
}
