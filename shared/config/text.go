package config

import (
	"slices"
	"strings"

	"antwort/shared/jsontext"
)

// boolean is true or false.
type boolean struct {
	at  func(*Config) *bool
	def bool
}

func (*boolean) kind() string      { return "boolean" }
func (*boolean) values() string    { return "true or false" }
func (k *boolean) want() string    { return k.values() }
func (k *boolean) reset(c *Config) { *k.at(c) = k.def }

func (k *boolean) set(c *Config, in input) bool {
	if in.form != truth && in.form != variable || in.text != "true" && in.text != "false" {
		return false
	}
	*k.at(c) = in.text == "true"
	return true
}

func (k *boolean) explain(in input) string {
	return unquote(k.set(new(Config), input{variable, in.text}), in)
}

// unquote is the hint for a text that were right without its quotes.
func unquote(right bool, in input) string {
	if right && in.form == quoted {
		return "write it without quotes"
	}
	return ""
}

func (k *boolean) text(c *Config) string {
	if *k.at(c) {
		return "true"
	}
	return "false"
}

func (k *boolean) isDefault(c, defaults *Config) bool { return *k.at(c) == *k.at(defaults) }

func (k *boolean) schema(dst []byte, c *Config) []byte {
	dst = append(dst, `"type":"boolean","default":`...)
	return append(dst, k.text(c)...)
}

// enum is one of a few words.
type enum struct {
	at    func(*Config) *string
	def   string // "" when there is no default
	words []string
	note  string // why there are not more
}

func (*enum) kind() string { return "enum" }

func (k *enum) values() string {
	return strings.Join(k.words, ", ")
}

func (k *enum) want() string {
	if len(k.words) == 1 {
		return `"` + k.values() + `"`
	}
	return "one of " + k.values()
}

func (k *enum) reset(c *Config) { *k.at(c) = k.def }

func (k *enum) set(c *Config, in input) bool {
	if !in.isText() || !slices.Contains(k.words, in.text) {
		return false
	}
	*k.at(c) = in.text
	return true
}

func (k *enum) explain(input) string { return k.note }

func (k *enum) text(c *Config) string { return *k.at(c) }

func (k *enum) isDefault(c, defaults *Config) bool { return *k.at(c) == *k.at(defaults) }

func (k *enum) schema(dst []byte, c *Config) []byte {
	dst = append(dst, `"enum":[`...)
	for i, v := range k.words {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsontext.AppendString(dst, v)
	}
	dst = append(dst, ']')
	return appendDefault(dst, k.text(c))
}

// text is a text that a function accepts.
type text struct {
	at      func(*Config) *string
	def     string
	accepts func(string) bool
	allowed string
	hidden  bool // a wrong input is not shown: it may be a misplaced secret
}

func (*text) kind() string      { return "text" }
func (k *text) values() string  { return k.allowed }
func (k *text) want() string    { return "a text: " + k.allowed }
func (k *text) reset(c *Config) { *k.at(c) = k.def }

func (k *text) set(c *Config, in input) bool {
	if !in.isText() || !k.accepts(in.text) {
		return false
	}
	*k.at(c) = in.text
	return true
}

func (k *text) explain(in input) string {
	if in.form == number || in.form == truth {
		return "write it in quotes"
	}
	return ""
}

func (k *text) redact(in input) string {
	if k.hidden && in.form != other {
		return Redacted
	}
	return in.got()
}

func (k *text) text(c *Config) string { return *k.at(c) }

func (k *text) isDefault(c, defaults *Config) bool { return *k.at(c) == *k.at(defaults) }

func (k *text) schema(dst []byte, c *Config) []byte {
	return appendDefault(append(dst, `"type":"string"`...), k.text(c))
}

// secret is a text that no error, schema or reference shows.
type secret struct{ at func(*Config) *Secret }

func (*secret) kind() string      { return "secret" }
func (k *secret) reset(c *Config) { *k.at(c) = Secret{} }

func (*secret) values() string {
	return "1 to 8192 printable ASCII characters without spaces"
}

func (k *secret) want() string { return k.values() }

func (k *secret) set(c *Config, in input) bool {
	if !in.isText() || !isCredential(in.text) {
		return false
	}
	*k.at(c) = NewSecret(in.text)
	return true
}

func (k *secret) explain(in input) string {
	if in.form == number || in.form == truth {
		return "write it in quotes"
	}
	return ""
}

func (*secret) redact(in input) string {
	if in.form == other {
		return in.got()
	}
	return Redacted
}

func (k *secret) text(c *Config) string { return k.at(c).String() }

func (k *secret) isDefault(c, _ *Config) bool { return !k.at(c).IsSet() }

func (k *secret) schema(dst []byte, _ *Config) []byte {
	return append(dst, `"type":"string","minLength":1,"maxLength":8192,"writeOnly":true`...)
}

func appendDefault(dst []byte, text string) []byte {
	if text == "" {
		return dst
	}
	dst = append(dst, `,"default":`...)
	return jsontext.AppendString(dst, text)
}
