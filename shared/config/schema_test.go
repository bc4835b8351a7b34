package config

import (
	"bytes"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func compiledSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("config.json", document))
	schema, err := compiler.Compile("config.json")
	require.NoError(t, err, "the schema is valid JSON Schema 2020-12")
	return schema
}

func validate(t testing.TB, schema *jsonschema.Schema, json []byte) error {
	t.Helper()
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(json))
	require.NoError(t, err)
	return schema.Validate(instance)
}

func TestSchemaAcceptsEveryKey(t *testing.T) {
	schema := compiledSchema(t)
	for _, k := range table {
		text := sample(k)
		switch k.value.kind() {
		case "integer", "boolean", "share", "list":
		default:
			text = `"` + text + `"`
		}
		json := file(k.path, text)
		_, err := Parse(json)
		require.NoError(t, err, k.path)
		assert.NoError(t, validate(t, schema, json), k.path)
	}
	for _, json := range []string{`{}`, `null`, `{"server":null}`, `{"limits":{"tools":7,"event_bytes":4096}}`, `{"routes":` + fullRoute + `}`} {
		assert.NoError(t, validate(t, schema, []byte(json)), json)
	}
}

func TestSchemaRefusesWhatItCan(t *testing.T) {
	schema := compiledSchema(t)
	for _, json := range []string{
		`[]`,
		`{"sever":{}}`,
		`{"server":{"prot":80}}`,
		`{"server":{"port":"80"}}`,
		`{"server":{"port":65536}}`,
		`{"server":{"drain_timeout":30}}`,
		`{"server":{"drain_timeout":"30"}}`,
		`{"engine":{"provider":"openai"}}`,
		`{"routes":[{"name":"a"}]}`,
		`{"routes":[{"name":"A","backends":[{"url":"http://a"}]}]}`,
		`{"routes":[{"name":"a","backends":[{"url":"http://a","api_key":"k"}]}]}`,
		`{"engine":{"backend_url":"llm"}}`,
		`{"engine":{"retry":{"max_attempts":0}}}`,
		`{"limits":{"event_bytes":1}}`,
		`{"limits":{"event_bytes":"8MB"}}`,
		`{"translation":{"fold_system":"true"}}`,
		`{"auth":{"type":"oidc"}}`,
		`{"server":{"trusted_proxies":"10.0.0.0/8"}}`,
		`{"server":{"trusted_proxies":[8]}}`,
		`{"auth":{"jwt":{"jwks_url":"https://a@b/"}}}`,
	} {
		assert.Error(t, validate(t, schema, []byte(json)), json)
		_, err := Parse([]byte(json))
		assert.Error(t, err, json)
	}
}

// Whatever the bytes: an answer or an error, and the schema is never stricter.
func FuzzParse(f *testing.F) {
	for _, k := range table {
		f.Add(file(k.path, `"`+sample(k)+`"`))
		f.Add(file(k.path, sample(k)))
	}
	f.Add([]byte(complete))
	f.Add([]byte(`{"server":{"port":1,"port":2},"x":[{}]}`))
	schema := compiledSchema(f)
	f.Fuzz(func(t *testing.T, json []byte) {
		c, err := Parse(json)
		if err != nil {
			assert.Nil(t, c)
			assert.NotContains(t, err.Error(), "\n", "an error is one line")
			return
		}
		for _, k := range table {
			text := k.value.text(c)
			if text == "" || text == Redacted {
				continue
			}
			again := Default()
			require.Truef(t, k.value.set(again, input{variable, text}), "%s writes %q and does not read it", k.path, text)
			assert.Equal(t, text, k.value.text(again), k.path)
		}
		assert.True(t, c.Equal(c))
		if len(json) > 0 {
			assert.NoError(t, validate(t, schema, json), string(json))
		}
		_ = c.Validate()
		_ = c.ValidateFilter()
	})
}
