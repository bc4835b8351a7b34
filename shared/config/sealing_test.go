package config

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	sealingOne = bytes.Repeat([]byte{0xfb}, sealingKeySize) // has + and / in Base64
	sealingTwo = bytes.Repeat([]byte{2}, sealingKeySize)
)

const twoSealingKeys = `{"keys":[{"id":"new_2","key_file":"/run/new"},{"id":"old","key_env":"OLD"}]}`

func sealingSources(state, provider string) Sources {
	return Sources{JSON: withState(provider, state),
		LookupEnv: func(name string) (string, bool) {
			return map[string]string{"OLD": hex.EncodeToString(sealingTwo), "SHORT": "HUSHHUSH", "NONE": strings.Repeat("HUSH", 8)}[name], true
		},
		ReadFile: func(string) ([]byte, error) {
			return []byte(base64.StdEncoding.EncodeToString(sealingOne) + "\n"), nil
		}}
}

func TestSealingKeysAreRead(t *testing.T) {
	c, err := Load(sealingSources(twoSealingKeys, "vllm"))
	require.NoError(t, err)
	assert.Equal(t, []SealingKey{
		{ID: "new_2", KeyFile: "/run/new", Key: NewSecret(string(sealingOne))},
		{ID: "old", KeyEnv: "OLD", Key: NewSecret(string(sealingTwo))},
	}, c.State.Keys)
	assert.True(t, c.SealsState())
	assert.False(t, Default().SealsState())

	again, err := Load(Sources{JSON: c.AppendJSON(nil), Unresolved: true})
	require.NoError(t, err)
	assert.Equal(t, c.Text("state.keys"), again.Text("state.keys"), "it is written as it is read")
	assert.False(t, c.Equal(again), "what a reference refers to counts")
}

func TestASealingKeyHasSeveralForms(t *testing.T) {
	for _, text := range []string{
		base64.StdEncoding.EncodeToString(sealingOne), base64.RawStdEncoding.EncodeToString(sealingOne), base64.URLEncoding.EncodeToString(sealingOne),
		base64.RawURLEncoding.EncodeToString(sealingOne), hex.EncodeToString(sealingOne), strings.ToUpper(hex.EncodeToString(sealingOne)),
	} {
		assert.Equal(t, sealingOne, sealingBytes(text), text)
	}
	for _, text := range []string{"", "HUSH", string(sealingTwo), base64.StdEncoding.EncodeToString(sealingOne[1:]), hex.EncodeToString(sealingOne[1:])} {
		assert.Nil(t, sealingBytes(text), text)
	}
}

func TestSealingKeysFromTheEnvironment(t *testing.T) {
	load := func(keys string) (*Config, error) {
		return Load(Sources{JSON: withState("vllm", `{}`), LookupEnv: func(name string) (string, bool) {
			return map[string]string{"ANTWORT_STATE_KEYS": keys, "OLD": hex.EncodeToString(sealingTwo)}[name], true
		}})
	}
	c, err := load(`[{"id":"a","key_env":"OLD"}]`)
	require.NoError(t, err)
	assert.Equal(t, string(sealingTwo), c.State.Keys[0].Key.Reveal())
	for keys, problem := range map[string]string{
		`HUSH`:                      "it is not a JSON text",
		`[{"id":"a","key":"HUSH"}]`: "state.keys[0].key: keys are not written in a list",
	} {
		_, err := load(keys)
		require.Error(t, err, keys)
		assert.Contains(t, err.Error(), problem)
		assert.NotContains(t, err.Error(), "HUSH")
	}
}

func TestSealingKeysAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ state, problem string }{
		"a key in clear":     {`{"keys":[{"id":"a","secret":"HUSH"}]}`, "state.keys[0].secret: keys are not written in a list: give key_file or key_env"},
		"an unknown member":  {`{"keys":[{"id":"a","key_env":"OLD","x":1}]}`, "state.keys[0].x: unknown key"},
		"no list":            {`{"keys":"HUSH"}`, "state.keys: got a text, want a list of objects"},
		"no objects":         {`{"keys":["HUSH"]}`, "state.keys[0]: got [redacted], want an object"},
		"no id":              {`{"keys":[{"key_env":"OLD"}]}`, "state.keys[0]: id must be set"},
		"an id with a blank": {`{"keys":[{"id":"HUSH ","key_env":"OLD"}]}`, "state.keys[0].id: got [redacted]"},
		"a long id":          {`{"keys":[{"id":"` + strings.Repeat("a", 33) + `","key_env":"OLD"}]}`, "state.keys[0].id: got [redacted]"},
		"an id twice":        {`{"keys":[{"id":"a","key_env":"OLD"},{"id":"a","key_file":"/x"}]}`, "state.keys[1].id: the same as that of state.keys[0]"},
		"no key":             {`{"keys":[{"id":"a"}]}`, "state.keys[0]: set exactly one of key_file and key_env"},
		"two ways":           {`{"keys":[{"id":"a","key_env":"OLD","key_file":"/x"}]}`, "state.keys[0]: set exactly one of"},
		"too many":           {`{"keys":[` + strings.Repeat(`{"id":"a","key_env":"OLD"},`, 16) + `{}]}`, "state.keys: has 17 keys, at most 16"},
		"the same key twice": {`{"keys":[{"id":"a","key_env":"OLD"},{"id":"b","key_env":"OLD"}]}`, "state.keys[1].key_env: the same key as another one"},
		"a short key":        {`{"keys":[{"id":"a","key_env":"SHORT"}]}`, "state.keys[0].key_env: what it refers to is not a key: want 32 bytes in Base64"},
		"a passphrase":       {`{"keys":[{"id":"a","key_env":"NONE"}]}`, "state.keys[0].key_env: what it refers to is not a key: want 32 bytes in Base64"},
		"a variable not set": {`{"keys":[{"id":"a","key_env":"UNSET"}]}`, "state.keys[0].key_env: the environment variable UNSET is not set"},
	} {
		_, err := Load(sealingSources(c.state, "vllm"))
		require.Error(t, err, name)
		assert.Contains(t, err.Error(), c.problem, name)
		assert.NotContains(t, err.Error(), "HUSH", name)
	}
	_, err := Load(sealingSources(twoSealingKeys, "vllm-responses"))
	require.ErrorContains(t, err, "state.keys: vllm-responses keeps nothing")
}

func TestTheFilterHasSealingKeys(t *testing.T) {
	_, err := LoadFilter(sealingSources(`{"scope":"subject","keys":[{"id":"a","key_env":"OLD"}]}`, "vllm"))
	require.NoError(t, err, "with the scope, which says whose a sealed thought is")
	for problem, s := range map[string]Sources{
		"state.keys[0].key_file: the filter sees no files":           sealingSources(twoSealingKeys, "vllm"),
		"state.keys: with engine.provider vllm-responses nothing is": sealingSources(`{"keys":[{"id":"a","key_env":"OLD"}]}`, "vllm-responses"),
		"state: the filter keeps nothing":                            sealingSources(`{"ttl":"1h","keys":[{"id":"a","key_env":"OLD"}]}`, "vllm"),
	} {
		_, err := LoadFilter(s)
		require.ErrorContains(t, err, problem)
	}
	s := sealingSources(`{"keys":[{"id":"a","key_env":"OLD"}]}`, "vllm")
	for prompt, problem := range map[string]string{
		`"prompt_file":"/p"`:                 "compaction.prompt_file: the filter sees no files",
		`"prompt_file":"/p","enabled":false`: "",
	} {
		with := s
		with.JSON = append([]byte(`{"compaction":{`+prompt+`},`), s.JSON[1:]...)
		if _, err := LoadFilter(with); problem == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, problem)
		}
	}
}

func TestSealingKeysBecomeVariablesOfTheVM(t *testing.T) {
	c, err := Load(sealingSources(twoSealingKeys, "vllm"))
	require.NoError(t, err)
	f, vars := c.ForFilter()
	require.Equal(t, []string{"STATE_KEY_NEW_2", "OLD"}, []string{vars[0].Name, vars[1].Name})
	assert.NotContains(t, string(f.AppendJSON(nil)), "/run/new")
	again, err := LoadFilter(Sources{JSON: f.AppendJSON(nil), LookupEnv: func(name string) (string, bool) {
		for _, v := range vars {
			if v.Name == name {
				return v.Value.Reveal(), true
			}
		}
		return "", false
	}})
	require.NoError(t, err)
	for i := range c.State.Keys {
		assert.Equal(t, c.State.Keys[i].Key.Reveal(), again.State.Keys[i].Key.Reveal())
	}

	unresolved := sealingSources(twoSealingKeys, "vllm")
	unresolved.Unresolved = true
	c, err = Load(unresolved)
	require.NoError(t, err)
	f, vars = c.ForFilter()
	require.Len(t, vars, 1)
	assert.Equal(t, "OLD", vars[0].Name)
	assert.False(t, vars[0].Value.IsSet())
	require.ErrorContains(t, f.ValidateFilter(), "state.keys[0].key_file: the filter sees no files")
}

func TestASealingKeysVariableIsItsOwn(t *testing.T) {
	c := Default()
	c.Engine.APIKey, c.Engine.APIKeyEnv = NewSecret("sk"), "OLD"
	c.State.Keys = []SealingKey{{ID: "a", KeyEnv: "OLD", Key: NewSecret(string(sealingOne))}}
	f, vars := c.ForFilter()
	require.Len(t, vars, 2)
	assert.Equal(t, "OLD_", f.State.Keys[0].KeyEnv)
}
