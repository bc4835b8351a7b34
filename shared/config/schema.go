package config

import (
	"strings"

	"antwort/shared/jsontext"
)

// Schema is the JSON Schema (draft 2020-12) of the configuration file. It
// accepts every file that [Parse] accepts; it is less strict where a schema
// cannot say it, for example about the range of a text with a unit. Nothing is
// required in it, because the environment may set every key.
func Schema() []byte {
	dst := []byte(`{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"antwort configuration",`)
	dst = appendSection(dst, "", Default())
	return append(dst, '}')
}

func appendSection(dst []byte, section string, c *Config) []byte {
	dst = append(dst, `"type":["object","null"],"additionalProperties":false,"properties":{`...)
	for i, name := range children(section) {
		if i > 0 {
			dst = append(dst, ',')
		}
		path := join(section, name)
		dst = jsontext.AppendString(dst, name)
		dst = append(dst, ":{"...)
		if k := find(path); k != nil {
			dst = append(dst, `"description":`...)
			dst = jsontext.AppendString(dst, k.describe())
			dst = append(dst, ',')
			dst = k.value.schema(dst, c)
		} else {
			dst = appendSection(dst, path, c)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// describe is the documentation with the environment variable.
func (k *key) describe() string {
	text := strings.ReplaceAll(k.reference(), "`", "")
	if k.require {
		text += " Required, here or in the environment."
	}
	return text + " Environment: " + variableOf(k.path) + "."
}
