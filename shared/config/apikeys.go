package config

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"antwort/shared/jsontext"

	"github.com/valyala/fastjson"
)

// APIKey is one key that clients may use, and who they then are. The key itself
// is not kept, only its digest.
type APIKey struct {
	// SHA256, KeyFile and KeyEnv are how the key was given; exactly one is set.
	SHA256  string // 64 hexadecimal digits, lower case
	KeyFile string // file with the key in clear
	KeyEnv  string // environment variable with the key in clear

	Subject string   // who the caller is
	Tenant  string   // on whose behalf; may be empty
	Models  []string // names or patterns with *; empty: all models

	// Digest is the SHA-256 of the key, whichever way it was given, after
	// ResolveSecrets.
	Digest [sha256.Size]byte
}

// Bounds of the list: each key costs a comparison in each request.
const (
	maxAPIKeys = 1000
	maxModels  = 100
)

// apiKeys is the list auth.api_keys. In the environment it is its JSON.
type apiKeys struct {
	at func(*Config) *[]APIKey
}

// member is one text of an entry.
type member struct {
	name    string
	at      func(*APIKey) *string
	accepts func(string) bool
	allowed string
	hidden  bool // a wrong input is not shown: it may be a key
}

const makeDigest = "printf %s \"$KEY\" | sha256sum"

// members are those of an entry but models, in their order.
var members = []member{
	{"sha256", func(k *APIKey) *string { return &k.SHA256 }, isDigest, "the key's digest, 64 hexadecimal digits: " + makeDigest, true},
	{"key_file", func(k *APIKey) *string { return &k.KeyFile }, isLine, "path of a file", true},
	{"key_env", func(k *APIKey) *string { return &k.KeyEnv }, isVariable, "name of an environment variable (letters, digits and _)", true},
	{"subject", func(k *APIKey) *string { return &k.Subject }, isIdentity, "1 to 128 printable ASCII characters without spaces", false},
	{"tenant", func(k *APIKey) *string { return &k.Tenant }, isIdentity, "1 to 128 printable ASCII characters without spaces", false},
}

func (*apiKeys) kind() string { return "list" }

func (*apiKeys) values() string {
	return "objects with one of `sha256`, `key_file` and `key_env`, with `subject`, and perhaps with `tenant` and `models`"
}

func (*apiKeys) want() string {
	return "a list of objects, each with one of sha256, key_file and key_env, with subject, and perhaps with tenant and models"
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

// redact hides the input: it may hold keys where digests should be.
func (*apiKeys) redact(in input) string {
	switch in.form {
	case quoted:
		return "a text"
	case variable:
		return Redacted
	}
	return in.got()
}

func (k *apiKeys) parse(text string) ([]APIKey, Problems) {
	if jsontext.Check([]byte(text), bounds) != nil {
		return nil, Problems{{Text: "it is not a JSON text"}}
	}
	v, err := fastjson.Parse(text)
	if err != nil || v.Type() != fastjson.TypeArray {
		return nil, Problems{{Text: "it is no JSON list"}}
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
		at := path + "[" + strconv.Itoa(i) + "]"
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
	object, err := v.Object()
	if err != nil {
		r.problems.add(path, "", "got "+hideText(fromJSON(v))+", want an object with one of sha256, key_file and key_env, and with subject")
		return key
	}
	before := len(r.problems)
	seen := make(map[string]bool, object.Len())
	object.Visit(func(name []byte, v *fastjson.Value) {
		at := path + "." + string(name)
		if seen[string(name)] {
			r.problems.add(at, "", "the key occurs twice")
			return
		}
		seen[string(name)] = true
		if string(name) == "models" {
			key.Models = r.models(at, v)
			return
		}
		r.apiKeyMember(&key, at, string(name), v)
	})
	if len(r.problems) > before {
		return key
	}
	given := 0
	for _, m := range members[:3] {
		if *m.at(&key) != "" {
			given++
		}
	}
	if given != 1 {
		r.problems.add(path, "", "set exactly one of sha256, key_file and key_env")
	}
	if key.Subject == "" {
		r.problems.add(path, "", "subject must be set: who calls with this key")
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

func (r *reader) apiKeyMember(key *APIKey, path, name string, v *fastjson.Value) {
	for _, m := range members {
		if m.name != name {
			continue
		}
		in := fromJSON(v)
		if in.isText() && m.accepts(in.text) {
			*m.at(key) = in.text
			return
		}
		got := in.got()
		if m.hidden {
			got = hideText(in)
		}
		r.problems.add(path, "", "got "+got+", want a text: "+m.allowed)
		return
	}
	switch name {
	case "key", "api_key", "value", "secret", "token":
		r.problems.add(path, "", "keys are not written in the configuration: give its digest, sha256: … ("+makeDigest+"), or key_file or key_env")
	default:
		r.problems.add(path, "", "unknown key, allowed here: sha256, key_file, key_env, subject, tenant, models")
	}
}

func (r *reader) models(path string, v *fastjson.Value) []string {
	list := v.GetArray()
	if len(list) == 0 || len(list) > maxModels {
		r.problems.add(path, "", "want a list of 1 to "+strconv.Itoa(maxModels)+" names of models, in which * stands for any text; leave it out to allow all models")
		return nil
	}
	models := make([]string, 0, len(list))
	for i, v := range list {
		in := fromJSON(v)
		if !in.isText() || !isLine(in.text) {
			r.problems.add(path+"["+strconv.Itoa(i)+"]", "", "got "+in.got()+", want a text: 1 to 512 bytes without control characters")
			continue
		}
		models = append(models, in.text)
	}
	return models
}

// hideText is got without a text, which may be a key.
func hideText(in input) string {
	if in.form == other {
		return in.got()
	}
	return Redacted
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

func (k *APIKey) appendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for _, m := range members {
		if text := *m.at(k); text != "" {
			dst = append(jsontext.AppendString(dst, m.name), ':')
			dst = append(jsontext.AppendString(dst, text), ',')
		}
	}
	if len(k.Models) > 0 {
		dst = append(appendTexts(append(dst, `"models":`...), k.Models), ',')
	}
	dst[len(dst)-1] = '}' // in the place of the last comma: a subject is always there
	return dst
}

func (k *apiKeys) schema(dst []byte, _ *Config) []byte {
	dst = append(dst, `"type":"array","maxItems":`...)
	dst = strconv.AppendInt(dst, maxAPIKeys, 10)
	dst = append(dst, `,"items":{"type":"object","additionalProperties":false,"required":["subject"],"oneOf":[`+
		`{"required":["sha256"]},{"required":["key_file"]},{"required":["key_env"]}],"properties":{`...)
	for _, m := range members {
		dst = append(jsontext.AppendString(dst, m.name), `:{"type":"string","description":`...)
		dst = append(jsontext.AppendString(dst, m.allowed), "},"...)
	}
	dst = append(dst, `"models":{"type":"array","minItems":1,"maxItems":`...)
	dst = strconv.AppendInt(dst, maxModels, 10)
	return append(dst, `,"items":{"type":"string"}}}}`...)
}

// isDigest accepts a SHA-256 as hexadecimal digits.
func isDigest(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == 2*sha256.Size
}

// isIdentity accepts what can go into a header and a log as it is.
func isIdentity(s string) bool { return s != "" && len(s) <= 128 && isGraphic(s) }
