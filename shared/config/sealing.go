package config

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fastjson"
)

// SealingKey is a key that what others keep for us is sealed with.
type SealingKey struct {
	ID      string // for whoever reads the configuration
	KeyFile string // exactly one of KeyFile and KeyEnv is set
	KeyEnv  string
	Key     Secret // sealingKeySize bytes, after ResolveSecrets
}

const (
	maxSealingKeys = 16
	sealingKeySize = 32
	maxSealingID   = 32
	makeSealingKey = "openssl rand -base64 32"
	aSealingKey    = "32 bytes in Base64 or as 64 hexadecimal digits: " + makeSealingKey
	anID           = "1 to 32 letters, digits, - and _"
)

// sealingKeys is the list state.keys. In the environment it is its JSON.
type sealingKeys struct{ hiddenList }

func (sealingKeys) kind() string { return "list" }

func (sealingKeys) values() string {
	return "objects with `id` and one of `key_file` and `key_env`"
}

func (sealingKeys) want() string {
	return "a list of objects, each with id and one of key_file and key_env"
}

func (sealingKeys) reset(c *Config) { c.State.Keys = nil }

// set reads the JSON of an environment variable.
func (k sealingKeys) set(c *Config, in input) bool {
	if in.form != variable {
		return false
	}
	keys, problems := k.parse(in.text)
	if problems == nil {
		c.State.Keys = keys
	}
	return problems == nil
}

// explain says what is wrong inside of a variable.
func (k sealingKeys) explain(in input) string {
	if in.form != variable {
		return ""
	}
	if _, problems := k.parse(in.text); len(problems) > 0 {
		return problems[0].Error()
	}
	return ""
}

func (sealingKeys) parse(text string) ([]SealingKey, Problems) {
	v, problem := parseList(text)
	if problem != "" {
		return nil, Problems{{Text: problem}}
	}
	var r reader
	return r.sealingKeys("state.keys", v), r.problems
}

// read sets the list of a file.
func (sealingKeys) read(r *reader, path string, v *fastjson.Value) {
	before := len(r.problems)
	if keys := r.sealingKeys(path, v); len(r.problems) == before {
		r.config.State.Keys = keys
	}
}

func (r *reader) sealingKeys(path string, v *fastjson.Value) []SealingKey {
	entries := v.GetArray()
	if len(entries) > maxSealingKeys {
		r.problems.add(path, "", "has "+strconv.Itoa(len(entries))+" keys, at most "+strconv.Itoa(maxSealingKeys)+" are allowed")
		return nil
	}
	keys := make([]SealingKey, len(entries))
	for i, entry := range entries {
		key, at := &keys[i], entryAt(path, i)
		if !r.sealingKey(at, entry, key) {
			continue
		}
		if before := slices.IndexFunc(keys[:i], func(k SealingKey) bool { return k.ID == key.ID }); before >= 0 {
			r.problems.add(at+".id", "", "the same as that of "+entryAt(path, before))
		}
	}
	return keys
}

func (r *reader) sealingKey(path string, v *fastjson.Value, key *SealingKey) bool {
	ok := r.object(path, v, []member{
		{"id", textAt(&key.ID, isSealingID, anID, true)},
		{"key_file", textAt(&key.KeyFile, isLine, "path of a file", true)},
		{"key_env", textAt(&key.KeyEnv, isVariable, "name of an environment variable (letters, digits and _)", true)},
	}, func(name string) string {
		if name == "key" || name == "value" || name == "secret" {
			return "keys are not written in a list: give key_file or key_env"
		}
		return ""
	})
	if ok && (key.KeyFile == "") == (key.KeyEnv == "") {
		r.problems.add(path, "", "set exactly one of key_file and key_env")
	}
	if ok && key.ID == "" {
		r.problems.add(path, "", "id must be set: "+anID)
	}
	return ok
}

func isSealingID(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return s != "" && len(s) <= maxSealingID
}

// text is the list as JSON, which is YAML too. No key is in it.
func (sealingKeys) text(c *Config) string {
	if len(c.State.Keys) == 0 {
		return ""
	}
	dst := []byte{'['}
	for i, k := range c.State.Keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		w := objectWriter{dst: dst}
		w.text("id", k.ID)
		w.text("key_file", k.KeyFile)
		w.text("key_env", k.KeyEnv)
		dst = w.end()
	}
	return string(append(dst, ']'))
}

func (sealingKeys) isDefault(c, _ *Config) bool { return len(c.State.Keys) == 0 }

func (sealingKeys) schema(dst []byte, _ *Config) []byte {
	dst = append(dst, `"type":"array","maxItems":`...)
	dst = strconv.AppendInt(dst, maxSealingKeys, 10)
	return append(dst, `,"items":{"type":"object","additionalProperties":false,"required":["id"],"oneOf":[`+
		`{"required":["key_file"]},{"required":["key_env"]}],"properties":{`+
		`"id":{"type":"string","pattern":"^[A-Za-z0-9_-]{1,32}$","description":"Name of the key, for people."},`+
		`"key_file":{"type":"string","description":"File with the key."},`+
		`"key_env":{"type":"string","description":"Environment variable with the key."}}}`...)
}

func sealingAt(i int) string { return entryAt("state.keys", i) }

// validateSealing refuses keys where nothing can be sealed, or read.
func (c *Config) validateSealing(ps *Problems, filter bool) {
	if !filter {
		return
	}
	if len(c.State.Keys) > 0 && c.Engine.Provider == VLLMResponses {
		ps.add("state.keys", "", "with engine.provider vllm-responses nothing is sealed here: the keys belong to the tier that has engine.provider vllm")
	}
	for i, k := range c.State.Keys {
		if k.KeyFile != "" {
			ps.add(sealingAt(i)+".key_file", "", "the filter sees no files: use key_env with a variable of vmConfig.env")
		}
	}
}

// resolveSealing reads the keys.
func (c *Config) resolveSealing(ps *Problems, lookup func(string) (string, bool), readFile func(string) ([]byte, error)) {
	keys := slices.Clone(c.State.Keys) // the slice may be shared
	for i := range keys {
		k := &keys[i]
		path, found, problem := resolveSecret(sealingAt(i)+".key", k.KeyFile, k.KeyEnv, lookup, readFile)
		raw := sealingBytes(found)
		switch {
		case problem != "":
			ps.add(path, "", problem)
			continue
		case raw == nil:
			ps.add(path, "", "what it refers to is not a key: want "+aSealingKey)
			continue
		case slices.ContainsFunc(keys[:i], func(before SealingKey) bool { return before.Key.Reveal() == string(raw) }):
			ps.add(path, "", "the same key as another one before it")
		}
		k.Key = NewSecret(string(raw))
	}
	c.State.Keys = keys
}

// sealingBytes are the bytes of a key, nil when the text is none.
func sealingBytes(text string) []byte {
	if raw, err := hex.DecodeString(text); err == nil && len(raw) == sealingKeySize {
		return raw
	}
	letters := strings.ReplaceAll(strings.ReplaceAll(strings.TrimRight(text, "="), "-", "+"), "_", "/")
	if raw, err := base64.RawStdEncoding.DecodeString(letters); err == nil && len(raw) == sealingKeySize {
		return raw
	}
	return nil
}

// sealingForFilter are the keys as variables of the VM, which are added to vars.
func (c *Config) sealingForFilter(vars []Variable) ([]SealingKey, []Variable) {
	keys := slices.Clone(c.State.Keys)
	for i := range keys {
		k := &keys[i]
		if k.KeyFile != "" && k.Key.IsSet() {
			k.KeyEnv, k.KeyFile = "STATE_KEY_"+strings.ToUpper(strings.ReplaceAll(k.ID, "-", "_")), ""
		}
		if k.KeyEnv != "" {
			value := k.Key
			if value.IsSet() {
				value = NewSecret(hex.EncodeToString([]byte(value.Reveal())))
			}
			for slices.ContainsFunc(vars, func(v Variable) bool { return v.Name == k.KeyEnv && v.Value != value }) {
				k.KeyEnv += "_" // another key has the name
			}
			vars = append(vars, Variable{k.KeyEnv, value})
		}
		k.Key = Secret{}
	}
	return keys, vars
}
