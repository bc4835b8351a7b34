package config

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every field of Config has exactly one key, whose path is the field's name.
func TestTableHasEveryField(t *testing.T) {
	var fields, keys []string
	collectFields(reflect.TypeFor[Config](), "", &fields)
	for _, k := range table {
		keys = append(keys, k.path)
	}
	assert.ElementsMatch(t, fields, keys)
}

func collectFields(of reflect.Type, section string, paths *[]string) {
	for field := range of.Fields() {
		if field.Name == "_" {
			continue
		}
		path := join(section, snake(field.Name))
		if field.Type.Kind() == reflect.Struct && field.Type != reflect.TypeFor[Secret]() {
			collectFields(field.Type, path, paths)
			continue
		}
		*paths = append(*paths, path)
	}
}

func snake(name string) string {
	name = strings.NewReplacer("URL", "Url", "API", "Api", "JSON", "Json", "KeepAlive", "Keepalive", "JWKS", "Jwks", "JWT", "Jwt", "TLS", "Tls", "CA", "Ca", "CORS", "Cors", "TTL", "Ttl", "SQLite", "Sqlite", "DSN", "Dsn", "OTLP", "Otlp").Replace(name)
	words := regexp.MustCompile(`[A-Z][a-z]*`).FindAllString(name, -1)
	return strings.ToLower(strings.Join(words, "_"))
}

func TestEachKeySetsItsOwnField(t *testing.T) {
	for _, k := range table {
		t.Run(k.path, func(t *testing.T) {
			c := new(Config)
			in := input{variable, sample(k)}
			require.Truef(t, k.value.set(c, in), "%q is not accepted", in.text)
			fields := changedFields(reflect.ValueOf(*c), "")
			assert.Equal(t, []string{k.path}, fields)
		})
	}
}

// sample is an allowed value that is not the zero of its type.
func sample(k key) string {
	switch {
	case k.path == "engine.api_key":
		return "sk-1"
	case k.path == "server.admin.token":
		return "token-1"
	case k.path == "state.postgres.dsn":
		return "postgres://db/antwort"
	case k.path == "limits.redis.url":
		return "redis://host"
	case k.path == "observability.otlp.headers":
		return "authorization=x"
	case k.path == "auth.forward_credential", k.path == "state.encrypt", k.path == "filter.tell_tokens":
		return "true"
	case k.example != "":
		return k.example
	default:
		return k.value.text(Default())
	}
}

func changedFields(v reflect.Value, section string) (paths []string) {
	for field, value := range v.Fields() {
		path := join(section, snake(field.Name))
		switch {
		case field.Type == reflect.TypeFor[Secret](), field.Type.Kind() != reflect.Struct:
			if !value.IsZero() {
				paths = append(paths, path)
			}
		default:
			paths = append(paths, changedFields(value, path)...)
		}
	}
	return paths
}

func TestDefaultsAreAllowedAndWrittenAsTheyAreRead(t *testing.T) {
	defaults := Default()
	for _, k := range table {
		text := k.value.text(defaults)
		if text == "" {
			continue
		}
		c := new(Config)
		assert.Truef(t, k.value.set(c, input{variable, text}), "%s: its default %q is not accepted", k.path, text)
		assert.Equal(t, text, k.value.text(c), k.path)
	}
}

func TestAKeyHasItsDefaultUntilItSaysAnother(t *testing.T) {
	defaults := Default()
	for _, k := range table {
		c := Default()
		assert.Truef(t, k.value.isDefault(c, defaults), k.path)
		require.Truef(t, k.value.set(c, input{variable, sample(k)}), k.path)
		assert.Equal(t, k.value.text(c) == k.value.text(defaults), k.value.isDefault(c, defaults), k.path)
	}
}

func TestVariablesAreDistinct(t *testing.T) {
	seen := map[string]string{ConfigVariable: "the file"}
	for _, k := range table {
		name := variableOf(k.path)
		assert.Regexp(t, `^ANTWORT_[A-Z_]+$`, name)
		assert.Emptyf(t, seen[name], "%s and %s share %s", k.path, seen[name], name)
		seen[name] = k.path
	}
}

func TestDocumentationIsFitForTheReference(t *testing.T) {
	for _, k := range table {
		assert.Regexp(t, `^[A-Z].*[.]$`, k.doc, k.path)
		assert.NotContains(t, k.doc, "|", k.path)
		assert.NotContains(t, k.value.values(), "|", k.path)
	}
}
