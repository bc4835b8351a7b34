package configfile

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// write makes a configuration file for one test.
func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "antwort.yaml")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

func TestLoadTakesYAMLAndJSON(t *testing.T) {
	for name, text := range map[string]string{
		"block":    "engine:\n  provider: vllm # comment\n  backend_url: http://llm/v1\nserver:\n  port: 9000\n",
		"flow":     "{engine: {provider: vllm, backend_url: 'http://llm'}, server: {port: 9000}}",
		"JSON":     `{"engine": {"provider": "vllm", "backend_url": "http://llm"}, "server": {"port": 9000}}`,
		"anchors":  "engine: &e {provider: vllm, backend_url: http://llm}\nserver: &s\n  port: 9000\n",
		"marker":   "---\nengine: {provider: vllm, backend_url: http://llm}\nserver: {port: 9000}\nlimits:\n...\n",
		"CRLF":     "engine:\r\n  provider: vllm\r\n  backend_url: http://llm\r\nserver:\r\n  port: 9000\r\n",
		"hex port": "engine: {provider: vllm, backend_url: http://llm}\nserver: {port: 0x2328}\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Load(write(t, text))
			require.NoError(t, err)
			want := config.Default()
			want.Server.Port, want.Engine.Provider, want.Engine.BackendURL = 9000, config.VLLM, "http://llm"
			assert.Equal(t, want, c)
		})
	}
}

func TestLoadTakesEnvironmentAndSecretFiles(t *testing.T) {
	t.Setenv("ANTWORT_PORT", "9001")
	t.Setenv("ANTWORT_BACKEND_URL", "http://llm")
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte("sk-1\n"), 0o600))

	c, err := Load(write(t, "server: {port: 9000}\nengine:\n  provider: vllm\n  api_key_file: "+key+"\n"))
	require.NoError(t, err)
	assert.Equal(t, 9001, c.Server.Port)
	assert.Equal(t, "sk-1", c.Engine.APIKey.Reveal())

	t.Setenv("ANTWORT_PROVIDER", "vllm-responses")
	c, err = Load("")
	require.NoError(t, err, "without a file the environment is enough")
	assert.Equal(t, config.VLLMResponses, c.Engine.Provider)
}

func TestLoadNamesThePlaceOfAProblem(t *testing.T) {
	const engine = "engine: {provider: vllm, backend_url: http://llm}\n"
	for name, test := range map[string]struct{ text, problem string }{
		"unknown key":           {engine + "server:\n  prot: 80\n", "3:3: server.prot: unknown key, did you mean server.port?"},
		"unknown section":       {engine + "cache:\n  size: 80\n", "2:1: cache: unknown key, allowed at the top: server, engine, translation, limits, auth, routing, routes, state, compaction, websocket, filter, observability"},
		"wrong value":           {engine + "limits:\n  # comment\n  tools: many\n", `4:3: limits.tools: got the text "many", want an integer from 1 to 100000`},
		"wrong value in flow":   {engine + "limits: {json_depth: 64, tools: 0}\n", "2:26: limits.tools: got the number 0, want an integer from 1 to 100000"},
		"value in quotes":       {engine + "server:\n  port: \"80\"\n", `3:3: server.port: got the text "80", want an integer from 0 to 65535; write it without quotes`},
		"duration without unit": {engine + "server:\n  idle_timeout: 30\n", "3:3: server.idle_timeout: got the number 30, want a duration from 1ms to 24h, with a unit ms, s, m or h, such as 15s"},
		"nothing after colon":   {engine + "server:\n  port:\n", "3:3: server.port: got nothing (null), want an integer from 0 to 65535"},
		"missing key":           {"engine:\n  provider: vllm\n", "1:1: engine.backend_url: must be set, here or by ANTWORT_BACKEND_URL, to an absolute http:// or https:// URL, such as http://llm.example:8000"},
		"key of an alias":       {engine + "server: &s {port: 1}\nfilter: *s\n", "3:1: filter.port: unknown key, did you mean server.port?"},
		"control character":     {engine + "server: {host: \"a\\u0001\"}\n", `2:10: server.host: got the text "a\x01", want a text: IP address or host name without port`},
		"infinity":              {engine + "limits: {tools: .inf}\n", `2:10: limits.tools: got the text "+Inf", want an integer from 1 to 100000`},
		"repeated key":          {engine + "server:\n  port: 1\n  port: 2\n", `4:3: mapping key "port" already defined at [3:3]`},
		"repeated section":      {engine + "server: {}\nserver: {}\n", `3:1: mapping key "server" already defined at [2:1]`},
		"unclosed quote":        {"engine:\n  provider: 'vllm\n", "2:13: could not find end character of single-quoted text"},
		"tab":                   {"engine:\n\tprovider: vllm\n", "2:1: found character '\t' that cannot start any token"},
		"unknown alias":         {"engine: *base\n", `1:10: could not find alias "base"`},
		"two documents":         {engine + "---\n" + engine, "2:1: a second document: a configuration is one YAML document"},
		"a list":                {"- engine\n", " got a list, want an object with the sections of the configuration"},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, test.text)
			_, err := Load(file)
			require.Error(t, err)
			assert.Equal(t, test.problem, strings.TrimPrefix(err.Error(), file+":"))
		})
	}
}

func TestLoadListsAllProblems(t *testing.T) {
	t.Setenv("ANTWORT_PORT", "x")
	file := write(t, "server: {idle_timeout: 1}\nengine: {provider: vllm, backend_url: http://llm?key=HUSH}\n")
	_, err := Load(file)
	assert.EqualError(t, err, "3 problems in the configuration:\n"+
		"  "+file+":1:10: server.idle_timeout: got the number 1, want a duration from 1ms to 24h, with a unit ms, s, m or h, such as 15s\n"+
		"  "+file+`:2:26: engine.backend_url: got the text "http://llm?[redacted]", want an absolute http:// or https:// URL, such as http://llm.example:8000; it must not have a query or a fragment`+"\n"+
		`  ANTWORT_PORT (server.port): got "x", want an integer from 0 to 65535`)
	var all *Error
	require.ErrorAs(t, err, &all)
	assert.Len(t, all.Lines, 3)
}

func TestLoadRefusesFiles(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone.yaml")
	_, err := Load(gone)
	assert.EqualError(t, err, "cannot read the configuration: open "+gone+": no such file or directory")

	_, err = Load(t.TempDir())
	assert.ErrorContains(t, err, "is a directory")

	_, err = Load(write(t, strings.Repeat("# long\n", 1<<18)))
	assert.ErrorContains(t, err, "more than 1048576 bytes, that is no configuration")
}

func TestSyntaxErrorsShowNoSource(t *testing.T) {
	for _, text := range []string{"engine:\n  api_key: 'HUSH\n", "engine: {api_key: HUSH\n", "api_key: HUSH: x\n", "a: &HUSH [\n"} {
		_, err := Load(write(t, text))
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "HUSH")
	}
}

// Whatever the bytes: JSON or an error, and no panic that would take a running
// server down with a changed file.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"engine:\n  provider: vllm\n", "a: &x {b: 1}\nc:\n  <<: *x\n", "- [1, 1.5, ~, true, '\u0001']\n", "a: !!binary aGk=\n",
		"? a\n: b\n", "a: |\n  b\n", "a: &x [*x]\n", "{\"a\": {}}", "---\n...\n---\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Parse("fuzz", text)
		if err != nil {
			return
		}
		if len(file.JSON) > 0 {
			assert.True(t, json.Valid(file.JSON), string(file.JSON))
		}
		if _, err := config.Parse(file.JSON); err != nil {
			assert.NotEmpty(t, file.Explain(err).Error())
		}
	})
}

func TestLoadUnresolvedReadsNoSecrets(t *testing.T) {
	name := filepath.Join(t.TempDir(), "antwort.yaml")
	require.NoError(t, os.WriteFile(name, []byte("engine: {provider: vllm, backend_url: \"http://llm:8000\", api_key_file: /nowhere/key}\n"), 0o600))
	c, err := LoadUnresolved(name)
	require.NoError(t, err)
	require.Equal(t, "/nowhere/key", c.Engine.APIKeyFile)
	require.False(t, c.Engine.APIKey.IsSet())
}
