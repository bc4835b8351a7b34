package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func digestOf(key string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(key))) }

// withAuth is a complete file with this section auth.
func withAuth(auth string) []byte {
	return []byte(`{"engine":{"provider":"vllm","backend_url":"http://llm"},"auth":` + auth + `}`)
}

func TestAPIKeysAreRead(t *testing.T) {
	json := withAuth(`{"type":"api_key","api_keys":[` +
		`{"sha256":"` + strings.ToUpper(digestOf("one")) + `","subject":"alice","tenant":"team-a","models":["m","llama-*"]},` +
		`{"key_file":"/run/two","subject":"bob"},{"key_env":"THREE","subject":"carol"}]}`)
	c, err := Load(Sources{JSON: json,
		LookupEnv: func(name string) (string, bool) { return map[string]string{"THREE": "three\n"}[name], true },
		ReadFile:  func(name string) ([]byte, error) { return []byte(strings.TrimPrefix(name, "/run/") + "\r\n"), nil }})
	require.NoError(t, err)
	want := []APIKey{
		{SHA256: digestOf("one"), Subject: "alice", Tenant: "team-a", Models: []string{"m", "llama-*"}},
		{KeyFile: "/run/two", Subject: "bob"}, {KeyEnv: "THREE", Subject: "carol"},
	}
	for i, key := range []string{"one", "two", "three"} {
		want[i].Digest = sha256.Sum256([]byte(key))
	}
	assert.Equal(t, want, c.Auth.APIKeys)

	again, err := Load(Sources{JSON: c.AppendJSON(nil), Unresolved: true})
	require.NoError(t, err)
	assert.Equal(t, c.Text("auth.api_keys"), again.Text("auth.api_keys"), "it is written as it is read")
	assert.False(t, c.Equal(again), "what a reference refers to counts")
}

func TestAPIKeysFromTheEnvironment(t *testing.T) {
	env := func(value string) func(string) (string, bool) {
		return func(name string) (string, bool) {
			return map[string]string{"ANTWORT_AUTH_API_KEYS": value, "ANTWORT_AUTH_TYPE": "api_key"}[name], true
		}
	}
	c, err := Load(Sources{JSON: withAuth(`{}`), LookupEnv: env(`[{"sha256":"` + digestOf("one") + `","subject":"alice"}]`)})
	require.NoError(t, err)
	assert.Equal(t, "alice", c.Auth.APIKeys[0].Subject)

	for value, problem := range map[string]string{
		`sk-HUSH`:                            "it is not a JSON text",
		`{"key":"sk-HUSH"}`:                  "it is no JSON list",
		`[{"key":"sk-HUSH","subject":"a"}]`:  "auth.api_keys[0].key: keys are not written in the configuration",
		`[{"sha256":"sk-HUSH","subject":1}]`: "auth.api_keys[0].sha256: got [redacted]",
	} {
		_, err := Load(Sources{JSON: withAuth(`{}`), LookupEnv: env(value)})
		require.Error(t, err, value)
		assert.Contains(t, err.Error(), "ANTWORT_AUTH_API_KEYS (auth.api_keys): got [redacted], want a list of objects")
		assert.Contains(t, err.Error(), problem)
		assert.NotContains(t, err.Error(), "HUSH")
	}
}

func TestAuthIsRefused(t *testing.T) {
	key := func(more string) string {
		return `{"type":"api_key","api_keys":[{"sha256":"` + digestOf("one") + `","subject":"a"}` + more + `]}`
	}
	for name, test := range map[string]struct{ auth, problem string }{
		"no keys":                   {`{"type":"api_key"}`, "auth.api_keys: must be set with auth.type api_key: without a key nobody can call"},
		"an empty list":             {`{"type":"api_key","api_keys":[]}`, "auth.api_keys: must be set with auth.type api_key"},
		"keys that nobody needs":    {strings.Replace(key(""), `"type":"api_key",`, "", 1), "auth.api_keys: there are keys, but auth.type none asks nobody for one"},
		"an unknown type":           {`{"type":"oidc"}`, "auth.type: "},
		"a key in clear":            {key(`,{"key":"HUSH","subject":"b"}`), `auth.api_keys[1].key: keys are not written in the configuration: give its digest, sha256: … (printf %s "$KEY" | sha256sum), or key_file or key_env`},
		"a key in clear in place":   {key(`,"HUSH"`), "auth.api_keys[1]: got [redacted], want an object"},
		"a key instead of a list":   {`{"type":"api_key","api_keys":"HUSH"}`, "auth.api_keys: got a text, want a list of objects"},
		"a key for a digest":        {key(`,{"sha256":"HUSH","subject":"b"}`), "auth.api_keys[1].sha256: got [redacted], want a text: the key's digest, 64 hexadecimal digits"},
		"a key for a variable":      {key(`,{"key_env":"sk-HUSH","subject":"b"}`), "auth.api_keys[1].key_env: got [redacted], want a text: name of an environment variable"},
		"the digest of nothing":     {key(`,{"sha256":"` + digestOf("") + `","subject":"b"}`), "auth.api_keys[1].sha256: is the digest of nothing"},
		"nothing that is a key":     {key(`,{"subject":"b"}`), "auth.api_keys[1]: set exactly one of sha256, key_file and key_env"},
		"two ways for one key":      {key(`,{"key_env":"A","key_file":"/a","subject":"b"}`), "auth.api_keys[1]: set exactly one of"},
		"no subject":                {key(`,{"key_env":"A"}`), "auth.api_keys[1]: subject must be set"},
		"a subject with spaces":     {key(`,{"key_env":"A","subject":"a b"}`), `auth.api_keys[1].subject: got the text "a b", want a text: 1 to 128 printable`},
		"a subject with a line":     {key(`,{"key_env":"A","subject":"a\r\nx: y"}`), "auth.api_keys[1].subject: got the text"},
		"an empty tenant":           {key(`,{"key_env":"A","subject":"b","tenant":""}`), "auth.api_keys[1].tenant: got"},
		"no models":                 {key(`,{"key_env":"A","subject":"b","models":[]}`), "auth.api_keys[1].models: want a list of 1 to 100 texts, each a name"},
		"a model as a text":         {key(`,{"key_env":"A","subject":"b","models":"m"}`), "auth.api_keys[1].models: want a list"},
		"a model that is none":      {key(`,{"key_env":"A","subject":"b","models":["m",7]}`), "auth.api_keys[1].models[1]: got the number 7"},
		"an unknown member":         {key(`,{"key_env":"A","subject":"b","scopes":[]}`), "auth.api_keys[1].scopes: unknown key, allowed here: sha256, key_file, key_env, subject, tenant, models, delegate"},
		"a delegate that is a text": {key(`,{"key_env":"A","subject":"b","delegate":"yes"}`), "auth.api_keys[1].delegate: got the text \"yes\", want true or false"},
		"a delegate with a tenant":  {key(`,{"key_env":"A","subject":"b","tenant":"t","delegate":true}`), "auth.api_keys[1].tenant: must not be set with delegate"},
		"a member twice":            {key(`,{"key_env":"A","subject":"b","subject":"c"}`), "auth.api_keys[1].subject: the key occurs twice"},
		"one key for two":           {key(`,{"sha256":"` + strings.ToUpper(digestOf("one")) + `","subject":"b"}`), "auth.api_keys[1].sha256: the same key as auth.api_keys[0]"},
		"too many":                  {`{"api_keys":[` + strings.Repeat("0,", 1000) + `0]}`, "auth.api_keys: has 1001 keys, at most 1000 are allowed"},
		"a credential passed on":    {strings.Replace(key(""), "{", `{"forward_credential":true,`, 1), "auth.forward_credential: needs engine.provider vllm-responses"},
		"nobody's passed on":        {`{"forward_credential":true}`, "auth.forward_credential: needs auth.type api_key or jwt"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(Sources{JSON: withAuth(test.auth)})
			require.Error(t, err)
			assert.Contains(t, err.Error(), test.problem)
			assert.NotContains(t, err.Error(), "HUSH")
		})
	}
}

func TestReferencesToAPIKeysAreRefused(t *testing.T) {
	for name, test := range map[string]struct{ key, problem string }{
		"no variable":       {`{"key_env":"GONE","subject":"b"}`, "auth.api_keys[1].key_env: the environment variable GONE is not set or empty"},
		"no file":           {`{"key_file":"/gone","subject":"b"}`, "auth.api_keys[1].key_file: cannot read the file"},
		"two lines":         {`{"key_env":"LINES","subject":"b"}`, "auth.api_keys[1].key_env: what it refers to is not a key"},
		"the key of others": {`{"key_env":"ONE","subject":"b"}`, "auth.api_keys[1].key_env: the same key as auth.api_keys[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(Sources{
				JSON: withAuth(`{"type":"api_key","api_keys":[{"sha256":"` + digestOf("HUSH-1") + `","subject":"a"},` + test.key + `]}`),
				LookupEnv: func(name string) (string, bool) {
					return map[string]string{"ONE": "HUSH-1", "LINES": "HUSH\n2"}[name], true
				},
				ReadFile: func(string) ([]byte, error) { return nil, errors.New("no such file") },
			})
			require.Error(t, err)
			assert.Contains(t, err.Error(), test.problem)
			assert.NotContains(t, err.Error(), "HUSH")
		})
	}
}

// What the filter cannot do, its configuration refuses.
func TestAuthInTheFilter(t *testing.T) {
	const models = `{"key_env":"A","subject":"a","models":["m"]}`
	for name, test := range map[string]struct{ provider, profile, key, problem string }{
		"a file":                        {"vllm", "gated", `{"key_file":"/a","subject":"a"}`, "auth.api_keys[0].key_file: the filter sees no files: use sha256, or key_env"},
		"models that it does not read":  {"vllm-responses", "inline", models, "auth.api_keys[0].models: the filter reads the model of forwarded requests only in filter.profile gated"},
		"models that it reads":          {"vllm-responses", "gated", models, ""},
		"models of what it translates":  {"vllm", "inline", models, ""},
		"keys without models, unbroken": {"vllm-responses", "inline", `{"key_env":"A","subject":"a"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := LoadFilter(Sources{LookupEnv: func(name string) (string, bool) { return map[string]string{"A": "key"}[name], true },
				JSON: []byte(`{"engine":{"provider":"` + test.provider + `"},"filter":{"profile":"` + test.profile + `"},"auth":{"type":"api_key","api_keys":[` + test.key + `]}}`)})
			if test.problem == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.problem)
		})
	}
}

func TestForFilterPassesDigests(t *testing.T) {
	json := withAuth(`{"type":"api_key","api_keys":[{"sha256":"` + digestOf("one") + `","subject":"a"},{"key_env":"TWO","subject":"b"},{"key_file":"/three","subject":"c"}]}`)
	resolved, err := Load(Sources{JSON: json,
		LookupEnv: func(name string) (string, bool) { return map[string]string{"TWO": "two"}[name], true },
		ReadFile:  func(string) ([]byte, error) { return []byte("three"), nil }})
	require.NoError(t, err)
	f, vars := resolved.ForFilter()
	assert.Empty(t, vars)
	for i, key := range []string{"one", "two", "three"} {
		assert.Equal(t, digestOf(key), f.Auth.APIKeys[i].SHA256)
	}
	assert.Equal(t, "TWO", resolved.Auth.APIKeys[1].KeyEnv, "the original must stay as it was")
	require.NoError(t, f.ValidateFilter())

	unresolved, err := Load(Sources{JSON: json, Unresolved: true})
	require.NoError(t, err)
	f, vars = unresolved.ForFilter()
	assert.Equal(t, []Variable{{Name: "TWO"}}, vars)
	assert.ErrorContains(t, f.ValidateFilter(), "auth.api_keys[2].key_file: the filter sees no files")
}

func TestSchemaOfAPIKeys(t *testing.T) {
	schema := compiledSchema(t)
	good := `{"sha256":"` + digestOf("one") + `","subject":"a","tenant":"t","models":["m"]}`
	require.NoError(t, validate(t, schema, withAuth(`{"type":"api_key","api_keys":[`+good+`]}`)))
	for _, bad := range []string{`"a"`, `{"subject":"a"}`, `{"sha256":"x"}`, `{"key":"x","subject":"a"}`, `{"key_env":"A","key_file":"/a","subject":"a"}`, `{"key_env":"A","subject":"a","models":[]}`} {
		assert.Error(t, validate(t, schema, withAuth(`{"api_keys":[`+bad+`]}`)), bad)
	}
}

// A live change must not let everybody in, whatever is left of a file.
func TestStaysClosed(t *testing.T) {
	asking := func(how string) *Config {
		c := Default()
		c.Auth.Type = how
		return c
	}
	for _, before := range []string{NoAuth, APIKeyAuth, JWTAuth} {
		for _, after := range []string{NoAuth, APIKeyAuth, JWTAuth} {
			err := asking(before).StaysClosed(asking(after))
			if before == NoAuth || after != NoAuth {
				require.NoError(t, err, "%s to %s", before, after)
				continue
			}
			require.EqualError(t, err, "auth.type: a change from "+before+" to none, which lets everybody in, needs a restart")
		}
	}
}
