package config

import (
	"strings"

	"antwort/shared/jsontext"
)

// AppendJSON appends a configuration file that means c: an object with the keys
// that differ from the defaults. Secrets are not in it, references to them are.
func (c *Config) AppendJSON(dst []byte) []byte { return c.appendSection(dst, "", Default()) }

func (c *Config) appendSection(dst []byte, section string, defaults *Config) []byte {
	dst = append(dst, '{')
	empty := len(dst)
	for _, name := range children(section) {
		path, member := join(section, name), len(dst)
		if member > empty {
			dst = append(dst, ',')
		}
		dst = append(jsontext.AppendString(dst, name), ':')
		value := len(dst)
		if k := find(path); k != nil {
			dst = k.appendJSON(dst, c, defaults)
		} else if dst = c.appendSection(dst, path, defaults); len(dst) == value+len("{}") {
			dst = dst[:value]
		}
		if len(dst) == value {
			dst = dst[:member]
		}
	}
	return append(dst, '}')
}

// appendJSON appends the value, or nothing where a file needs not have it.
func (k *key) appendJSON(dst []byte, c, defaults *Config) []byte {
	text := k.value.text(c)
	if _, is := k.value.(*secret); is || text == k.value.text(defaults) {
		return dst
	}
	switch k.value.(type) {
	case *integer, *boolean, *share, list:
		return append(dst, text...)
	}
	return jsontext.AppendString(dst, text)
}

// ForFilter is c as the filter can read it: it sees neither files nor the
// process's environment, so each secret becomes a reference to a variable of
// the VM. The variables are what the VM must be given.
func (c *Config) ForFilter() (*Config, []Variable) {
	f := *c
	f.withoutToken()
	f.withoutState()
	f.withoutLimits()
	f.withoutTelemetry()
	var vars []Variable
	for _, s := range secrets {
		value, file, env := s.value(&f), s.file(&f), s.env(&f)
		if !value.IsSet() && *file == "" && *env == "" {
			continue
		}
		if *env == "" {
			*env = strings.ToUpper(strings.ReplaceAll(s.path, ".", "_"))
		}
		vars = append(vars, Variable{*env, *value})
		*value, *file = Secret{}, ""
	}
	f.Auth.APIKeys, vars = f.Auth.forFilter(vars)
	f.Auth.JWT.forFilter()
	f.Routes, vars = f.routesForFilter(vars)
	f.State.Keys, vars = f.sealingForFilter(vars)
	f.withoutTransport()
	return &f, vars
}
