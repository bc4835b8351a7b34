package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// explaining is a folder with files of these names, and a run of antwort explain in it.
func explaining(t *testing.T, files map[string]string, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	for i, arg := range args {
		if _, is := files[arg]; is {
			args[i] = filepath.Join(dir, arg)
		}
	}
	var out, err bytes.Buffer
	code = Main(t.Context(), append([]string{"explain"}, args...), strings.NewReader(stdin), &out, &err)
	return code, out.String(), err.String()
}

const explainConfig = `engine: {provider: vllm, backend_url: "http://127.0.0.1:8000"}
state: {type: none}
routes:
- name: test
  match: {headers: {x-stage: test}}
  backends: [{url: "http://test.example"}]
`

func TestExplain(t *testing.T) {
	const good, bad = `{"model":"m","input":"hi","stream":true}`, `{"model":"m","input":"hi","n":2}`
	files := map[string]string{
		"c.yaml": explainConfig, "good.json": good, "bad.json": bad,
		"answer.sse":  "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
		"answer.json": `{"error":{"message":"too many"}}`,
	}
	for name, test := range map[string]struct {
		args   []string
		stdin  string
		code   int
		out    string // is in what is printed
		errors string
	}{
		"a table":             {[]string{"--config", "c.yaml", "good.json"}, "", exitOK, "messages[0].content", ""},
		"from standard input": {[]string{"--config", "c.yaml", "-"}, good, exitOK, "messages[0].content", ""},
		"by a header":         {[]string{"--config", "c.yaml", "-H", "X-Stage: test", "good.json"}, "", exitOK, "http://test.example of route test", ""},
		"refused":             {[]string{"--config", "c.yaml", "bad.json"}, "", exitRun, "n: a response has one answer", "antwort: the request is refused"},
		"the chat request":    {[]string{"--config", "c.yaml", "--chat", "good.json"}, "", exitOK, `"include_usage": true`, ""},
		"none":                {[]string{"--config", "c.yaml", "--chat", "bad.json"}, "", exitRun, "", "refused"},
		"a stream":            {[]string{"--config", "c.yaml", "--answer", "answer.sse", "good.json"}, "", exitOK, "the events keep all rules", ""},
		"an error":            {[]string{"--config", "c.yaml", "--answer", "answer.json", "--status", "429", "good.json"}, "", exitRun, "429", "the answer becomes an error"},
		"no file":             {[]string{"--config", "c.yaml", "none.json"}, "", exitUsage, "", "none.json"},
		"no such caller":      {[]string{"--config", "c.yaml", "--caller", "ana", "good.json"}, "", exitUsage, "", "auth.type is none"},
		"no header":           {[]string{"--config", "c.yaml", "-H", "x", "good.json"}, "", exitUsage, "", "--header x: it has the form NAME: VALUE"},
		"two forms":           {[]string{"--config", "c.yaml", "--chat", "--json", "good.json"}, "", exitUsage, "", "--chat"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errors := explaining(t, files, test.stdin, test.args...)
			assert.Equal(t, test.code, code, errors)
			assert.Contains(t, out, test.out)
			assert.Contains(t, errors, test.errors)
			assert.NotContains(t, out, "\x1b[", "colours are for terminals")
		})
	}
	code, out, _ := explaining(t, files, "", "--config", "c.yaml", "--json", "good.json")
	assert.Equal(t, exitOK, code)
	var report struct {
		Outcome string
		Fields  []struct{ Field string }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	assert.Equal(t, "translated", report.Outcome)
	assert.Len(t, report.Fields, 3)
}
