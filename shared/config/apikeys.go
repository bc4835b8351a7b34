package config

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/valyala/fastjson"
)

// Bounds of the list: each key costs a comparison in each request.
const (
	maxAPIKeys = 1000
	maxModels  = 100
)

// apiKeys is the list auth.api_keys. In the environment it is its JSON.
type apiKeys struct {
	hiddenList
	at func(*Config) *[]APIKey
}

const makeDigest = "printf %s \"$KEY\" | sha256sum"

func (*apiKeys) kind() string { return "list" }

func (*apiKeys) values() string {
	return "objects with one of `sha256`, `key_file` and `key_env`, with `subject`, and perhaps with `tenant`, `models` and `delegate`"
}

func (*apiKeys) want() string {
	return "a list of objects, each with one of sha256, key_file and key_env, with subject, and perhaps with tenant, models and delegate"
}

func (k *apiKeys) reset(c *Config) { *k.at(c) = nil }

// set reads the JSON of an environment variable.
func (k *apiKeys) set(c *Config, in input) bool {
	if in.form != variable {
		return false
	}
	keys, problems := k.parse(in.text)
	if problems == nil {
		*k.at(c) = keys
	}
	return problems == nil
}

// explain says what is wrong inside of a variable.
func (k *apiKeys) explain(in input) string {
	if in.form != variable {
		return ""
	}
	_, problems := k.parse(in.text)
	if len(problems) == 0 {
		return ""
	}
	return problems[0].Error()
}

func (*apiKeys) parse(text string) ([]APIKey, Problems) {
	v, problem := parseList(text)
	if problem != "" {
		return nil, Problems{{Text: problem}}
	}
	var r reader
	return r.apiKeys("auth.api_keys", v), r.problems
}

// read sets the list of a file.
func (k *apiKeys) read(r *reader, path string, v *fastjson.Value) {
	before := len(r.problems)
	if keys := r.apiKeys(path, v); len(r.problems) == before {
		*k.at(r.config) = keys
	}
}

func (r *reader) apiKeys(path string, v *fastjson.Value) []APIKey {
	entries := v.GetArray()
	if len(entries) > maxAPIKeys {
		r.problems.add(path, "", "has "+strconv.Itoa(len(entries))+" keys, at most "+strconv.Itoa(maxAPIKeys)+" are allowed")
		return nil
	}
	keys := make([]APIKey, 0, len(entries))
	first := make(map[string]string, len(entries))
	for i, entry := range entries {
		at := entryAt(path, i)
		key := r.apiKey(at, entry)
		if before := first[key.SHA256]; key.SHA256 != "" && before != "" {
			r.problems.add(at+".sha256", "", "the same key as "+before)
		}
		first[key.SHA256] = at
		keys = append(keys, key)
	}
	return keys
}

func (r *reader) apiKey(path string, v *fastjson.Value) (key APIKey) {
	ok := r.object(path, v, []member{
		{"sha256", textAt(&key.SHA256, isDigest, "the key's digest, 64 hexadecimal digits: "+makeDigest, true)},
		{"key_file", textAt(&key.KeyFile, isLine, "path of a file", true)},
		{"key_env", textAt(&key.KeyEnv, isVariable, "name of an environment variable (letters, digits and _)", true)},
		{"subject", textAt(&key.Subject, isIdentity, anIdentity, false)},
		{"tenant", textAt(&key.Tenant, isIdentity, anIdentity, false)},
		{"models", textsAt(&key.Models, maxModels, isLine, "a name, in which * stands for any text")},
		{"delegate", booleanAt(&key.Delegate)},
	}, func(name string) string {
		switch name {
		case "key", "api_key", "value", "secret", "token":
			return "keys are not written in the configuration: give its digest, sha256: … (" + makeDigest + "), or key_file or key_env"
		}
		return ""
	})
	if !ok {
		return key
	}
	given := 0
	for _, way := range []string{key.SHA256, key.KeyFile, key.KeyEnv} {
		if way != "" {
			given++
		}
	}
	if given != 1 {
		r.problems.add(path, "", "set exactly one of sha256, key_file and key_env")
	}
	if key.Subject == "" {
		r.problems.add(path, "", "subject must be set: who calls with this key")
	}
	if key.Delegate && key.Tenant != "" {
		r.problems.add(path+".tenant", "", "must not be set with delegate: whose tenant a request is for, the gateway tells with each")
	}
	if key.SHA256 != "" {
		key.SHA256 = strings.ToLower(key.SHA256)
		_, _ = hex.Decode(key.Digest[:], []byte(key.SHA256)) // isDigest has seen it
		if key.Digest == sha256.Sum256(nil) {
			r.problems.add(path+".sha256", "", "is the digest of nothing: was KEY empty in "+makeDigest+"?")
		}
	}
	return key
}

// text is the list as JSON, which is YAML too. No key is in it.
func (k *apiKeys) text(c *Config) string {
	keys := *k.at(c)
	if len(keys) == 0 {
		return ""
	}
	dst := []byte{'['}
	for i := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = keys[i].appendJSON(dst)
	}
	return string(append(dst, ']'))
}

func (k *apiKeys) isDefault(c, _ *Config) bool { return len(*k.at(c)) == 0 }

func (k *APIKey) appendJSON(dst []byte) []byte {
	w := objectWriter{dst: dst}
	w.text("sha256", k.SHA256)
	w.text("key_file", k.KeyFile)
	w.text("key_env", k.KeyEnv)
	w.text("subject", k.Subject)
	w.text("tenant", k.Tenant)
	w.texts("models", k.Models)
	w.flag("delegate", k.Delegate)
	return w.end()
}

func (k *apiKeys) schema(dst []byte, _ *Config) []byte {
	dst = append(dst, `"type":"array","maxItems":`...)
	dst = strconv.AppendInt(dst, maxAPIKeys, 10)
	dst = append(dst, `,"items":{"type":"object","additionalProperties":false,"required":["subject"],"oneOf":[`+
		`{"required":["sha256"]},{"required":["key_file"]},{"required":["key_env"]}],"properties":{`+
		`"sha256":{"type":"string","pattern":"^[0-9A-Fa-f]{64}$","description":"The key's digest."},`+
		`"key_file":{"type":"string","description":"File with the key."},`+
		`"key_env":{"type":"string","description":"Environment variable with the key."},`+
		`"subject":{"type":"string","description":"Who the caller is."},`+
		`"tenant":{"type":"string","description":"On whose behalf."},`+
		`"models":{"type":"array","minItems":1,"maxItems":`...)
	dst = strconv.AppendInt(dst, maxModels, 10)
	return append(dst, `,"items":{"type":"string"},"description":"Models that the key may use, * stands for any text; none: all."},`+
		`"delegate":{"type":"boolean","description":"The key is a gateway's, which tells with each request who calls."}}}`...)
}
