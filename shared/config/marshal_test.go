package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAppendJSON(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":    `{}`,
		"each kind":  `{"server":{"host":"::","port":0,"keepalive_interval":"0s"},"engine":{"provider":"vllm","backend_url":"http://llm:8000/a","default_model":"a\"b","api_key_env":"KEY","retry":{"max_attempts":1}},"translation":{"fold_system":false},"limits":{"event_bytes":"1KiB"}}`,
		"reference":  `{"engine":{"api_key_file":"/run/key"}}`,
		"one nested": `{"observability":{"metrics":{"enabled":false}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Parse([]byte(text))
			require.NoError(t, err)
			require.JSONEq(t, text, string(c.AppendJSON(nil)))
			again, err := Parse(c.AppendJSON(nil))
			require.NoError(t, err)
			require.Equal(t, c, again)
		})
	}
}

func TestAppendJSONOfEveryKey(t *testing.T) {
	c, err := Parse([]byte(`{"engine":{"api_key":"very-secret"}}`))
	require.NoError(t, err)
	require.Equal(t, `{}`, string(c.AppendJSON(nil)), "a secret must not be written")
	for _, k := range table {
		require.NotPanics(t, func() { k.appendJSON(nil, Default(), new(Config)) }, k.path)
	}
}

func TestForFilter(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		env  string
		want []Variable
	}{
		"no secret":     {`{}`, "", nil},
		"in the file":   {`{"engine":{"api_key":"abc"}}`, "ENGINE_API_KEY", []Variable{{"ENGINE_API_KEY", NewSecret("abc")}}},
		"by a file":     {`{"engine":{"api_key_file":"/run/key"}}`, "ENGINE_API_KEY", []Variable{{"ENGINE_API_KEY", NewSecret("from-file")}}},
		"by a variable": {`{"engine":{"api_key_env":"MINE"}}`, "MINE", []Variable{{"MINE", NewSecret("from-env")}}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Parse([]byte(tt.text))
			require.NoError(t, err)
			require.NoError(t, c.ResolveSecrets(
				func(string) (string, bool) { return "from-env", true },
				func(string) ([]byte, error) { return []byte("from-file\n"), nil }))
			before := *c
			f, vars := c.ForFilter()
			require.Equal(t, tt.want, vars)
			require.Equal(t, tt.env, f.Engine.APIKeyEnv)
			require.Empty(t, f.Engine.APIKeyFile)
			require.False(t, f.Engine.APIKey.IsSet())
			require.Equal(t, before, *c, "the original must stay as it was")
		})
	}
}
