// Package conformance holds every body and event of the golden corpus against
// the OpenAPI file of the Open Responses specification. Where the gateway
// deviates knowingly, testdata/patches.json says how and why.
package conformance

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

const document = "openresponses-2026-04-24.json"

// A spec compiles the schemas of the patched OpenAPI file.
type spec struct {
	t        *testing.T
	compiler *jsonschema.Compiler
	schemas  map[string]any
	events   map[string]string // event type → schema
}

func load(t *testing.T) *spec { return loadWithout(t, -1) }

// loadWithout leaves out one patch.
func loadWithout(t *testing.T, patch int) *spec {
	doc := readJSON(t, document)
	for i, p := range patches(t) {
		if i != patch {
			apply(t, doc, p.(map[string]any))
		}
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	require.NoError(t, c.AddResource(document, doc))
	s := &spec{t: t, compiler: c, events: make(map[string]string)}
	s.schemas = at(t, doc, []string{"components", "schemas"}).(map[string]any)
	for name, schema := range s.schemas {
		if !strings.HasSuffix(name, "StreamingEvent") {
			continue
		}
		types := at(t, schema, []string{"properties", "type", "enum"}).([]any)
		for _, typ := range types {
			s.events[typ.(string)] = name
		}
	}
	return s
}

func patches(t *testing.T) []any { return readJSON(t, "patches.json").([]any) }

func readJSON(t *testing.T, name string) any {
	b, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	require.NoError(t, err, name)
	return v
}

// apply carries out one JSON Patch operation (RFC 6902): replace what is
// there, or add what is not.
func apply(t *testing.T, doc any, p map[string]any) {
	path := p["path"].(string)
	require.NotEmpty(t, p["reason"], path)
	steps := strings.Split(path, "/")[1:]
	last := steps[len(steps)-1]
	switch parent := at(t, doc, steps[:len(steps)-1]).(type) {
	case map[string]any:
		_, there := parent[last]
		require.Equal(t, p["op"] == "replace", there, "%s %s", p["op"], path)
		parent[last] = p["value"]
	case []any:
		require.Equal(t, "-", last, path)
		require.Equal(t, "add", p["op"], path)
		holder := at(t, doc, steps[:len(steps)-2]).(map[string]any)
		holder[steps[len(steps)-2]] = append(parent, p["value"])
	}
}

func at(t *testing.T, v any, steps []string) any {
	for _, step := range steps {
		object, ok := v.(map[string]any)
		require.True(t, ok, "no object at %s", step)
		v, ok = object[step]
		require.True(t, ok, "nothing at %s of %s", step, strings.Join(steps, "/"))
	}
	return v
}

// validate holds a JSON text against a schema of the file.
func (s *spec) validate(schema string, text []byte) error {
	compiled, err := s.compiler.Compile(document + "#/components/schemas/" + schema)
	require.NoError(s.t, err, schema)
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return compiled.Validate(v)
}

func member(t *testing.T, object []byte, name string) json.RawMessage {
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(object, &members))
	return members[name]
}
