package configfile

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// position is where a key stands, both from 1.
type position struct{ line, column int }

// parseYAML turns one YAML document into JSON and says where each key stands;
// keys are named as in "engine.retry.max_attempts" and "list[0].name".
// Repeated keys are refused. The error begins with the position.
func parseYAML(text []byte) ([]byte, map[string]position, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, nil, yamlError(err)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			return nil, nil, at(cmp.Or(doc.Start, doc.Body.GetToken()), "a second document: a configuration is one YAML document")
		}
		body = doc.Body
	}
	if body == nil {
		return nil, nil, nil
	}
	var value any
	if err := yaml.NodeToValue(body, &value, yaml.UseOrderedMap()); err != nil {
		return nil, nil, yamlError(err)
	}
	out, err := appendJSON(nil, value)
	if err != nil {
		return nil, nil, at(body.GetToken(), err.Error())
	}
	positions := make(map[string]position)
	locate(positions, "", body)
	return out, positions, nil
}

// yamlError is the parser's error as "line:column: what", without the quoted
// source, which may hold a secret.
func yamlError(err error) error {
	text := yaml.FormatError(err, false, false)
	text, _, _ = strings.Cut(text, "\n")
	if rest, ok := strings.CutPrefix(text, "["); ok {
		if where, what, ok := strings.Cut(rest, "] "); ok {
			text = where + ": " + what
		}
	}
	return errors.New(text)
}

func at(place *token.Token, text string) error {
	return fmt.Errorf("%d:%d: %s", place.Position.Line, place.Position.Column, text)
}

// appendJSON writes what the YAML decoder made, in the order of the file. It is
// done here because the decoder's own JSON is not JSON for control characters
// and infinities.
func appendJSON(dst []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case yaml.MapSlice:
		dst = append(dst, '{')
		for i, item := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = appendJSON(dst, fmt.Sprint(item.Key)); err != nil {
				return nil, err
			}
			dst = append(dst, ':')
			if dst, err = appendJSON(dst, item.Value); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	case []any:
		dst = append(dst, '[')
		for i, item := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = appendJSON(dst, item); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			value = strconv.FormatFloat(v, 'g', -1, 64)
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, err
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...), nil
}

// locate notes the positions of all keys below node. Aliases and merged keys
// are left to their parent's position.
func locate(positions map[string]position, path string, node ast.Node) {
	switch n := node.(type) {
	case *ast.MappingNode:
		for _, member := range n.Values {
			locate(positions, path, member)
		}
	case *ast.MappingValueNode:
		key := n.Key.GetToken()
		name := key.Value
		if path != "" {
			name = path + "." + name
		}
		positions[name] = position{key.Position.Line, key.Position.Column}
		locate(positions, name, n.Value)
	case *ast.SequenceNode:
		for i, item := range n.Values {
			name := path + "[" + strconv.Itoa(i) + "]"
			p := item.GetToken().Position
			positions[name] = position{p.Line, p.Column}
			locate(positions, name, item)
		}
	case *ast.AnchorNode:
		locate(positions, path, n.Value)
	case *ast.TagNode:
		locate(positions, path, n.Value)
	}
}
