package config

import (
	"bytes"

	"antwort/shared/jsontext"

	"github.com/valyala/fastjson"
)

// Parse is the defaults with the keys of a JSON file over them. An empty text
// is an empty file. The error is Problems: unknown and repeated keys and wrong
// values, all of them.
//
// What concerns several keys, and whether required ones are set, Validate says
// after the environment had its say.
func Parse(json []byte) (*Config, error) {
	c, problems := parse(json)
	if problems != nil {
		return nil, problems
	}
	return c, nil
}

// parse leaves the default where a value is wrong.
func parse(json []byte) (*Config, Problems) {
	c := Default()
	if len(json) == 0 {
		return c, nil
	}
	// fastjson is lenient, and its errors quote the text, secrets included.
	if err := jsontext.Check(json, bounds); err != nil {
		return c, Problems{{Text: "not a JSON text: " + err.Error()}}
	}
	var p fastjson.Parser
	v, err := p.ParseBytes(json)
	if err != nil {
		return c, Problems{{Text: "not a JSON text"}}
	}
	r := reader{config: c}
	switch v.Type() {
	case fastjson.TypeNull:
	case fastjson.TypeObject:
		r.section("", v)
	default:
		r.problems.add("", "", "got "+fromJSON(v).got()+", want an object with the sections of the configuration")
	}
	return c, r.problems
}

func (r *reader) section(section string, v *fastjson.Value) {
	object, _ := v.Object()
	seen := make(map[string]bool, object.Len())
	object.Visit(func(name []byte, v *fastjson.Value) {
		path := join(section, string(name))
		if len(name) == 0 || bytes.IndexByte(name, '.') >= 0 {
			r.problems.add(path, "", "unknown key: a name has no dots, section.name is written as sections")
			return
		}
		if seen[path] {
			r.problems.add(path, "", "the key occurs twice")
			return
		}
		seen[path] = true
		r.member(path, v)
	})
}

func (r *reader) member(path string, v *fastjson.Value) {
	k := find(path)
	switch {
	case k != nil && v.Type() == fastjson.TypeArray && k.list() != nil:
		k.list().read(r, path, v)
	case k != nil:
		if in := fromJSON(v); !k.value.set(r.config, in) {
			r.problems.add(path, "", k.wrong(in))
		}
	case !isSection(path):
		r.problems.add(path, "", unknown(path))
	case v.Type() == fastjson.TypeObject:
		r.section(path, v)
	case v.Type() == fastjson.TypeNull: // YAML: a section with all its keys commented out
	default:
		r.problems.add(path, "", "got "+fromJSON(v).got()+", want an object with keys")
	}
}
