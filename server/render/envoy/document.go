package envoy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Document is a rendered configuration.
type Document interface {
	JSON() ([]byte, error)
	YAML() ([]byte, error)
}

// object is a JSON object whose members stay in order. A member without a value
// is left out.
type object []member

type member struct {
	name  string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for _, m := range o {
		if m.value == nil {
			continue
		}
		value, err := marshal(m.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", m.name, value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// list is a JSON array.
type list []any

// marshal is json.Marshal without its escapes for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// typed is a message of the given type (google.protobuf.Any).
func typed(name string, fields object) object {
	return append(object{{"@type", "type.googleapis.com/" + name}}, fields...)
}

// extension is a named extension with its configuration.
func extension(name, message string, fields object) object {
	return object{{"name", name}, {"typed_config", typed(message, fields)}}
}

// duration is d as protobuf's JSON has it.
func duration(d time.Duration) string {
	text := fmt.Sprintf("%d.%09d", d/time.Second, d%time.Second)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".") + "s"
}

// JSON is the document indented, with a line end.
func (o object) JSON() ([]byte, error) {
	text, err := marshal(o)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// YAML is the document as YAML.
func (o object) YAML() ([]byte, error) {
	text, err := marshal(o)
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(text)
}
