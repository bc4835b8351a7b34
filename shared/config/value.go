package config

import (
	"strconv"

	"github.com/valyala/fastjson"
)

// value is what a key holds: its kind, default and range, and its place in a
// Config.
type value interface {
	kind() string                        // "duration"
	values() string                      // what is allowed, in short: "1ms to 1h"
	want() string                        // the same, for an error
	reset(c *Config)                     // set the default
	set(c *Config, in input) (ok bool)   // set what was read; c is unchanged when not ok
	text(c *Config) string               // the value as it is written in YAML, "" for none
	isDefault(c, defaults *Config) bool  // whether c has the default; that of a list is none
	schema(dst []byte, c *Config) []byte // members of its JSON Schema; c has the default
}

// explainer is a value that knows more than "got, want" about a wrong input.
type explainer interface {
	// explain says what is wrong, "" when there is nothing to add.
	explain(in input) string
}

// list is a value that is a JSON array.
type list interface {
	value
	// read sets what an array holds, or says what is wrong in it.
	read(r *reader, path string, v *fastjson.Value)
}

// list is the key's value if it is one.
func (k *key) list() list {
	l, _ := k.value.(list)
	return l
}

// form is how an input was written.
type form int

const (
	variable form = iota // text of an environment variable: any kind reads it
	quoted               // JSON string
	number               // JSON number, text is the literal
	truth                // JSON true or false
	other                // JSON null, array or object; text names it
)

// input is one value as it was read.
type input struct {
	form form
	text string
}

func fromJSON(v *fastjson.Value) input {
	switch v.Type() {
	case fastjson.TypeString:
		return input{quoted, string(v.GetStringBytes())}
	case fastjson.TypeNumber:
		return input{number, string(v.MarshalTo(nil))}
	case fastjson.TypeTrue:
		return input{truth, "true"}
	case fastjson.TypeFalse:
		return input{truth, "false"}
	case fastjson.TypeNull:
		return input{other, "nothing (null)"}
	case fastjson.TypeArray:
		return input{other, "a list"}
	default:
		return input{other, "an object"}
	}
}

// isText reports whether the input may be read as text.
func (in input) isText() bool { return in.form == quoted || in.form == variable }

// got describes an input in an error.
func (in input) got() string {
	text := in.text
	if len(text) > 80 {
		text = text[:80] + "…"
	}
	switch in.form {
	case number:
		return "the number " + text
	case quoted:
		return "the text " + strconv.Quote(text)
	case variable:
		return strconv.Quote(text)
	default:
		return text
	}
}

// wrong is what to say about an input that a key does not take.
func (k *key) wrong(in input) string {
	got := in.got()
	if r, ok := k.value.(interface{ redact(input) string }); ok {
		got = r.redact(in)
	}
	text := "got " + got + ", want " + k.value.want()
	if e, ok := k.value.(explainer); ok {
		if why := e.explain(in); why != "" {
			text += "; " + why
		}
	}
	return text
}

// key is one row of the table.
type key struct {
	path    string // from the top, "section.name"
	value   value
	doc     string // one or two sentences, Markdown
	example string // for keys whose default is nothing
	require bool   // file or environment must set it

	restart Command // takes a change at its next start only; the others take it while they run
	ifUnset bool    // that is so for a change from no value or to none
}
