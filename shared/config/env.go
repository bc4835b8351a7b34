package config

import (
	"slices"
	"strings"
)

// prefix of all environment variables that are read.
const prefix = "ANTWORT_"

// variableOf is the environment variable of a key: ANTWORT_ and the path in upper
// case with _ for the dots, without the sections server and engine; only
// engine.default_model is ANTWORT_MODEL, and engine.tls is BACKEND_TLS.
func variableOf(path string) string {
	if path == "engine.default_model" {
		return prefix + "MODEL"
	}
	if rest, ok := strings.CutPrefix(path, "engine.tls."); ok {
		path = "backend_tls." + rest
	}
	for _, section := range []string{"server.", "engine."} {
		if rest, ok := strings.CutPrefix(path, section); ok {
			path = rest
			break
		}
	}
	name := []byte(prefix + path)
	for i := len(prefix); i < len(name); i++ {
		switch b := name[i]; {
		case b == '.':
			name[i] = '_'
		case b >= 'a' && b <= 'z':
			name[i] = b - 'a' + 'A'
		}
	}
	return string(name)
}

// ApplyEnv sets the keys whose environment variable is there and not empty;
// lookup is like os.LookupEnv. It is for a Config that nobody shares yet. The
// error is Problems; keys with a wrong value stay as they were.
func (c *Config) ApplyEnv(lookup func(string) (string, bool)) error {
	return c.applyEnv(lookup).err()
}

func (c *Config) applyEnv(lookup func(string) (string, bool)) Problems {
	var problems Problems
	for i := range table {
		k := &table[i]
		name := variableOf(k.path)
		value, _ := lookup(name)
		if _, hidden := k.value.(*secret); hidden {
			value = strings.TrimRight(value, "\r\n")
		}
		if value == "" || isServiceLink(name, value) {
			continue
		}
		if in := (input{variable, value}); !k.value.set(c, in) {
			problems.add(k.path, name, k.wrong(in))
		}
	}
	return problems
}

// isServiceLink reports whether Kubernetes made the variable: a Service named
// antwort gives each pod of its namespace ANTWORT_PORT=tcp://ADDRESS:PORT.
func isServiceLink(name, value string) bool {
	return name == prefix+"PORT" && strings.HasPrefix(value, "tcp://")
}

// UnknownVariables are those of the names that begin with ANTWORT_ and mean
// nothing, in words: probably spelled wrong. Names that Kubernetes makes for
// Services named antwort… are not among them.
func UnknownVariables(names []string) []string {
	var unknown []string
	for _, name := range names {
		if strings.HasPrefix(name, prefix) && name != ConfigVariable && !isKnownVariable(name) && !isServiceVariable(name) {
			unknown = append(unknown, name+": no such variable"+nearestVariable(name))
		}
	}
	slices.Sort(unknown)
	return unknown
}

// ConfigVariable names the configuration file.
const ConfigVariable = prefix + "CONFIG"

func isKnownVariable(name string) bool {
	return slices.ContainsFunc(table, func(k key) bool { return variableOf(k.path) == name })
}

// isServiceVariable knows the names of Kubernetes' service links, such as
// ANTWORT_BACKEND_SERVICE_HOST and ANTWORT_BACKEND_PORT_8080_TCP_ADDR.
func isServiceVariable(name string) bool {
	return strings.HasSuffix(name, "_SERVICE_HOST") || strings.Contains(name, "_SERVICE_PORT") ||
		strings.HasSuffix(name, "_PORT") || strings.Contains(name, "_PORT_") && (strings.Contains(name, "_TCP") || strings.Contains(name, "_UDP"))
}

func nearestVariable(name string) string {
	best, far := "", 1+(len(name)-len(prefix))/3
	for _, k := range table {
		if d := distance(name, variableOf(k.path)); d <= far {
			best, far = variableOf(k.path), d-1
		}
	}
	for _, k := range table {
		// ANTWORT_LOG_LEVEL is missing a section, ANTWORT_ENGINE_PROVIDER has one.
		known := variableOf(k.path)
		if best == "" && (strings.HasSuffix(known, name[len(prefix)-1:]) || strings.HasSuffix(name, known[len(prefix)-1:])) {
			best = known
		}
	}
	if best == "" {
		return ""
	}
	return ", did you mean " + best + "?"
}
