package mockllm

import (
	"math"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fastjson"

	"antwort/shared/jsontext"
)

// An instancer builds an instance of a JSON Schema. Free strings carry the
// prompt; everything else is the least value that the schema allows.
type instancer struct {
	root   *fastjson.Value
	prompt string
}

const (
	maxSchemaDepth   = 16
	maxInstanceBytes = 64 << 10 // a recursive schema stops growing here
)

// appendInstance appends an instance of schema in the spacing of Python's
// json.dumps, as models write it.
func appendInstance(dst []byte, schema *fastjson.Value, prompt string) []byte {
	in := instancer{schema, prompt}
	return in.append(dst, schema, 0)
}

func (in *instancer) append(dst []byte, s *fastjson.Value, depth int) []byte {
	if s == nil || s.Type() != fastjson.TypeObject || depth > maxSchemaDepth {
		return jsontext.AppendString(dst, in.prompt)
	}
	if ref := string(s.GetStringBytes("$ref")); ref != "" {
		return in.append(dst, in.resolve(ref), depth+1)
	}
	if c := s.Get("const"); c != nil {
		return jsontext.AppendValue(dst, c)
	}
	if e := s.GetArray("enum"); len(e) > 0 {
		return jsontext.AppendValue(dst, e[0])
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		if alternatives := s.GetArray(key); len(alternatives) > 0 {
			return in.append(dst, alternatives[0], depth+1)
		}
	}
	if all := s.GetArray("allOf"); len(all) == 1 {
		return in.append(dst, all[0], depth+1)
	}
	switch typeOf(s) {
	case "object":
		return in.object(dst, s, depth)
	case "array":
		return in.array(dst, s, depth)
	case "integer", "number":
		return appendNumber(dst, s)
	case "boolean":
		return append(dst, "true"...)
	case "null":
		return append(dst, "null"...)
	default:
		return jsontext.AppendString(dst, in.string(s))
	}
}

// typeOf is the first type that is not null, or the one its keywords imply.
func typeOf(s *fastjson.Value) string {
	t := s.Get("type")
	for _, one := range t.GetArray() {
		if name := string(one.GetStringBytes()); name != "null" {
			return name
		}
	}
	if name := string(t.GetStringBytes()); name != "" {
		return name
	}
	switch {
	case s.Exists("properties"), s.Exists("additionalProperties"):
		return "object"
	case s.Exists("items"), s.Exists("prefixItems"):
		return "array"
	}
	return "string"
}

func (in *instancer) object(dst []byte, s *fastjson.Value, depth int) []byte {
	dst = append(dst, '{')
	first := true
	if props := s.GetObject("properties"); props != nil && depth < maxSchemaDepth/2 && len(dst) < maxInstanceBytes {
		props.Visit(func(key []byte, prop *fastjson.Value) {
			if !first {
				dst = append(dst, ", "...)
			}
			first = false
			dst = jsontext.AppendString(dst, key)
			dst = append(dst, ": "...)
			dst = in.append(dst, prop, depth+1)
		})
	}
	return append(dst, '}')
}

func (in *instancer) array(dst []byte, s *fastjson.Value, depth int) []byte {
	dst = append(dst, '[')
	n := max(1, s.GetInt("minItems"))
	if max := s.Get("maxItems"); max != nil && max.GetInt() < n || depth >= maxSchemaDepth/2 {
		n = s.GetInt("minItems")
	}
	prefix := s.GetArray("prefixItems")
	for i := range max(n, len(prefix)) {
		if len(dst) > maxInstanceBytes {
			break
		}
		if i > 0 {
			dst = append(dst, ", "...)
		}
		item := s.Get("items")
		if i < len(prefix) {
			item = prefix[i]
		}
		dst = in.append(dst, item, depth+1)
	}
	return append(dst, ']')
}

// appendNumber appends the least number that the bounds allow, 1 without any.
func appendNumber(dst []byte, s *fastjson.Value) []byte {
	f := 1.0
	if v := s.Get("minimum"); v != nil {
		f = v.GetFloat64()
	} else if v := s.Get("exclusiveMinimum"); v != nil {
		f = v.GetFloat64() + 1
	} else if v := s.Get("maximum"); v != nil && v.GetFloat64() < f {
		f = v.GetFloat64()
	}
	if m := s.GetFloat64("multipleOf"); m > 0 {
		f = math.Ceil(f/m) * m
	}
	if typeOf(s) == "integer" {
		f = math.Ceil(f)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

var formats = map[string]string{
	"date": "2026-01-02", "date-time": "2026-01-02T03:04:05Z", "time": "03:04:05Z", "email": "mock@example.com",
	"uri": "https://example.com/", "uuid": "00000000-0000-4000-8000-000000000000", "ipv4": "192.0.2.1",
	"ipv6": "2001:db8::1", "hostname": "example.com", "duration": "PT1S",
}

func (in *instancer) string(s *fastjson.Value) string {
	if f, ok := formats[string(s.GetStringBytes("format"))]; ok {
		return f
	}
	if p := string(s.GetStringBytes("pattern")); p != "" {
		if text, err := matching(p); err == nil {
			return text
		}
	}
	text := in.prompt
	if v := s.Get("maxLength"); v != nil && utf8.RuneCountInString(text) > v.GetInt() {
		text = string([]rune(text)[:max(0, v.GetInt())])
	}
	missing := min(s.GetInt("minLength"), maxInstanceBytes) - utf8.RuneCountInString(text)
	return text + strings.Repeat(".", max(0, missing))
}

// resolve follows a reference within the schema (#/$defs/Name).
func (in *instancer) resolve(ref string) *fastjson.Value {
	path, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil
	}
	v := in.root
	for key := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if key == "" {
			continue
		}
		v = v.Get(strings.NewReplacer("~1", "/", "~0", "~").Replace(key))
	}
	return v
}

// matching returns a short text that the regular expression matches.
func matching(expr string) (string, error) {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return "", err
	}
	return string(appendMatch(nil, re.Simplify())), nil
}

func appendMatch(dst []byte, re *syntax.Regexp) []byte {
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			dst = utf8.AppendRune(dst, r)
		}
	case syntax.OpCharClass:
		if len(re.Rune) > 0 {
			dst = utf8.AppendRune(dst, classRune(re.Rune))
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		dst = append(dst, 'x')
	case syntax.OpPlus, syntax.OpCapture, syntax.OpAlternate:
		dst = appendMatch(dst, re.Sub[0])
	case syntax.OpRepeat:
		for range re.Min {
			dst = appendMatch(dst, re.Sub[0])
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			dst = appendMatch(dst, sub)
		}
	}
	return dst
}

// classRune is the first letter or printable character of a class.
func classRune(ranges []rune) rune {
	for i := 0; i < len(ranges); i += 2 {
		for _, want := range []rune{'a', '1', 'A', ' '} {
			if ranges[i] <= want && want <= ranges[i+1] {
				return want
			}
		}
	}
	return ranges[0]
}
