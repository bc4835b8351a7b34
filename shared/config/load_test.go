package config

import (
	"fmt"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// files is a reader like os.ReadFile.
func files(texts map[string]string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		text, ok := texts[name]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return []byte(text), nil
	}
}

const complete = `{"engine":{"provider":"vllm","backend_url":"http://llm"}}`

func TestLoadTakesTheEnvironmentOverTheFile(t *testing.T) {
	c, err := Load(Sources{
		JSON:      []byte(`{"server":{"port":1000,"host":"::"},"engine":{"provider":"vllm","api_key_env":"LLM_KEY"}}`),
		LookupEnv: environment(map[string]string{"ANTWORT_PORT": "2000", "ANTWORT_BACKEND_URL": "http://llm", "LLM_KEY": "sk-1"}),
	})
	require.NoError(t, err)
	assert.Equal(t, 2000, c.Server.Port)
	assert.Equal(t, "::", c.Server.Host)
	assert.Equal(t, "http://llm", c.Engine.BackendURL)
	assert.Equal(t, "sk-1", c.Engine.APIKey.Reveal())
}

func TestLoadResolvesSecrets(t *testing.T) {
	read := files(map[string]string{"key": "sk-1", "line": "sk-1\r\n", "empty": "\n", "two": "a\nb\n"})
	env := environment(map[string]string{"ANTWORT_PROVIDER": "vllm", "ANTWORT_BACKEND_URL": "http://llm", "KEY": "sk-2", "NOTHING": ""})
	for reference, want := range map[string]string{
		`"api_key":"sk-0"`:       "sk-0",
		`"api_key_file":"key"`:   "sk-1",
		`"api_key_file":"line"`:  "sk-1",
		`"api_key_env":"KEY"`:    "sk-2",
		`"default_model":"none"`: "",
	} {
		c, err := Load(Sources{JSON: []byte(`{"engine":{` + reference + `}}`), LookupEnv: env, ReadFile: read})
		require.NoError(t, err, reference)
		assert.Equal(t, want, c.Engine.APIKey.Reveal(), reference)
	}
	for reference, problem := range map[string]string{
		`"api_key_file":"gone"`:                       "engine.api_key_file: cannot read the file: open gone: file does not exist",
		`"api_key_file":"empty"`:                      "engine.api_key_file: what it refers to is not a key: want 1 to 8192 printable ASCII characters without spaces",
		`"api_key_file":"two"`:                        "engine.api_key_file: what it refers to is not a key: want 1 to 8192 printable ASCII characters without spaces",
		`"api_key_env":"GONE"`:                        "engine.api_key_env: the environment variable GONE is not set or empty",
		`"api_key_env":"NOTHING"`:                     "engine.api_key_env: the environment variable NOTHING is not set or empty",
		`"api_key":"a","api_key_file":"key"`:          "engine.api_key: set only one of api_key, api_key_file and api_key_env",
		`"api_key_env":"KEY","api_key_file":"key"`:    "engine.api_key: set only one of api_key, api_key_file and api_key_env",
		`"api_key":"a","api_key_env":"ANTWORT_MODEL"`: "engine.api_key: set only one of api_key, api_key_file and api_key_env",
	} {
		_, err := Load(Sources{JSON: []byte(`{"engine":{` + reference + `}}`), LookupEnv: env, ReadFile: read})
		assert.EqualError(t, err, problem, reference)
	}
	_, err := Load(Sources{JSON: []byte(`{"engine":{"provider":"vllm","backend_url":"http://llm","api_key_file":"key"}}`)})
	assert.EqualError(t, err, "engine.api_key_file: there are no files here")
	_, err = Load(Sources{JSON: []byte(`{"engine":{"provider":"vllm","backend_url":"http://llm","api_key_env":"KEY"}}`)})
	assert.EqualError(t, err, "engine.api_key_env: there is no environment here")
}

func TestLoadChecksAcrossKeys(t *testing.T) {
	for name, test := range map[string]struct{ json, problem string }{
		"nothing is set":                         {``, "engine.provider: must be set, here or by ANTWORT_PROVIDER, to one of vllm, vllm-responses; engine.backend_url: must be set, here or by ANTWORT_BACKEND_URL, to an absolute http:// or https:// URL, such as http://llm.example:8000"},
		"a wrong value is not missing too":       {`{"engine":{"provider":"x","backend_url":"http://llm"}}`, `engine.provider: got the text "x", want one of vllm, vllm-responses`},
		"the first wait is longer than the last": {`{"engine":{"provider":"vllm","backend_url":"http://llm","retry":{"base_delay":"10s"}}}`, "engine.retry.base_delay: must not be greater than engine.retry.max_delay: got 10s and 5s"},
		"a body larger than when decompressed":   {`{"engine":{"provider":"vllm","backend_url":"http://llm"},"limits":{"request_body_bytes":"65MiB"}}`, "limits.request_body_bytes: must not be greater than limits.decoded_body_bytes: got 65MiB and 64MiB"},
	} {
		_, err := Load(Sources{JSON: []byte(test.json)})
		assert.EqualError(t, err, test.problem, name)
	}
}

func TestLoadReportsAllSourcesAtOnce(t *testing.T) {
	_, err := Load(Sources{
		JSON:      []byte(`{"engine":{"backend_url":"llm"},"sever":{}}`),
		LookupEnv: environment(map[string]string{"ANTWORT_PORT": "x"}),
	})
	var problems Problems
	require.ErrorAs(t, err, &problems)
	var about []string
	for _, p := range problems {
		about = append(about, p.Source+" "+p.Path)
	}
	assert.Equal(t, []string{" engine.backend_url", " sever", "ANTWORT_PORT server.port", " engine.provider"}, about)
}

// needs is what is wrong with limits by which a VM would need so many MiB.
func needs(most string, mib, copies int) string {
	return fmt.Sprintf("limits.%s: a VM of the filter would need %dMiB by its limits, and 512MiB is the most that fits into one: lower this first; it is limits.in_flight_bytes, "+
		"%d times the longest body, and 480 bytes for each of limits.json_values", most, mib, copies)
}

func TestLoadForTheFilter(t *testing.T) {
	c, err := LoadFilter(Sources{JSON: []byte(`{"engine":{"provider":"vllm"}}`)})
	require.NoError(t, err, "the route names the upstream, a backend URL is not needed")
	assert.Equal(t, VLLM, c.Engine.Provider)

	c, err = LoadFilter(Sources{
		JSON:      []byte(`{"engine":{"provider":"vllm","api_key_env":"KEY"}}`),
		LookupEnv: environment(map[string]string{"KEY": "sk-1"}),
	})
	require.NoError(t, err)
	assert.Equal(t, "sk-1", c.Engine.APIKey.Reveal())

	for json, problem := range map[string]string{
		`{}`: "engine.provider: must be set, here or by ANTWORT_PROVIDER, to one of vllm, vllm-responses",
		`{"engine":{"provider":"vllm","api_key_file":"key"}}`:                                                   "engine.api_key_file: the filter sees no files: use api_key_env with a variable of vmConfig.env",
		`{"engine":{"provider":"vllm"},"limits":{"in_flight_bytes":"1GiB"}}`:                                    needs("in_flight_bytes", 1159, 3),
		`{"engine":{"provider":"vllm"},"limits":{"request_body_bytes":"160MiB","decoded_body_bytes":"160MiB"}}`: needs("request_body_bytes", 679, 3),
		`{"engine":{"provider":"vllm"},"limits":{"response_body_bytes":"100MiB"}}`:                              needs("response_body_bytes", 735, 6),
		`{"engine":{"provider":"vllm"},"limits":{"json_values":100000000}}`:                                     needs("json_values", 7888, 3),
		`{"engine":{"provider":"vllm"},"limits":{"in_flight_bytes":"16MiB"}}`:                                   "limits.request_body_bytes: must not be greater than limits.in_flight_bytes: got 32MiB and 16MiB",
	} {
		_, err := LoadFilter(Sources{JSON: []byte(json)})
		assert.EqualError(t, err, problem)
	}
}

func TestValidateIsThePartOfLoadThatResolvesNothing(t *testing.T) {
	c, err := Parse([]byte(`{"engine":{"provider":"vllm","backend_url":"http://llm","api_key_file":"gone"}}`))
	require.NoError(t, err)
	assert.NoError(t, c.Validate())
	assert.Error(t, c.ValidateFilter())
	assert.False(t, c.Engine.APIKey.IsSet())

	c, err = Parse([]byte(complete))
	require.NoError(t, err)
	assert.NoError(t, c.Validate())
	assert.NoError(t, c.ValidateFilter())
}

func TestWhatTheTableRequiresMustBeSet(t *testing.T) {
	var required Problems
	for _, k := range table {
		if k.require {
			required = append(required, Problem{Path: k.path, Text: "must be set, here or by " + variableOf(k.path) + ", to " + k.value.want()})
		}
	}
	_, err := Load(Sources{})
	assert.Equal(t, required, err)
}
