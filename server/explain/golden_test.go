package explain

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the tables of TestTables as what is expected")

// read reads a file of a case; nil: it has none.
func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	return text
}

// A case is a folder with request.json; perhaps with config.json, the sections that differ,
// caller.txt, a subject, and answer.sse. What is written for it is table.txt.
func TestTables(t *testing.T) {
	dirs, err := filepath.Glob("testdata/*")
	require.NoError(t, err)
	require.Greater(t, len(dirs), 5)
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			sections := map[string]json.RawMessage{"state": json.RawMessage(`{"type":"none"}`)}
			if text := read(t, dir, "config.json"); text != nil {
				require.NoError(t, json.Unmarshal(text, &sections))
			}
			if sections["engine"] == nil {
				sections["engine"] = json.RawMessage(`{"provider":"vllm","backend_url":"http://127.0.0.1:8000"}`)
			}
			text, err := json.Marshal(sections)
			require.NoError(t, err)
			q := &Question{Config: configured(t, string(text)), Body: read(t, dir, "request.json")}
			if subject := read(t, dir, "caller.txt"); subject != nil {
				q.Caller, err = Named(q.Config, strings.TrimSpace(string(subject)), "")
				require.NoError(t, err)
			}
			r := Request(q)
			if recorded := read(t, dir, "answer.sse"); recorded != nil {
				r = r.Answered(200, recorded)
			}
			var got bytes.Buffer
			require.NoError(t, r.WriteTable(&got, false))
			for line := range strings.Lines(got.String()) {
				assert.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), width, line)
				assert.Equal(t, strings.TrimRight(line, " \n")+"\n", line, "blanks at the end of a line")
			}
			table := filepath.Join(dir, "table.txt")
			if *update {
				require.NoError(t, os.WriteFile(table, got.Bytes(), 0o600))
			}
			assert.Equal(t, string(read(t, dir, "table.txt")), got.String(), "go test ./server/explain -run TestTables -update writes what came as expected")

			var coloured bytes.Buffer
			require.NoError(t, r.WriteTable(&coloured, true))
			assert.Contains(t, coloured.String(), "\x1b[")
			plain := coloured.String()
			for _, style := range []string{"0", bad, lost, moved, kept, bold} {
				plain = strings.ReplaceAll(plain, "\x1b["+style+"m", "")
			}
			assert.Equal(t, got.String(), plain, "colours move nothing")
		})
	}
}
