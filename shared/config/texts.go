package config

import (
	"strconv"

	"github.com/valyala/fastjson"
)

// texts is a list of texts that a function accepts. In the environment it is
// its JSON, as every list.
type texts struct {
	at      func(*Config) *[]string
	accepts func(string) bool
	allowed string // what one of them may be
	max     int    // how many there may be
}

func (*texts) kind() string { return "list" }

func (k *texts) values() string { return "at most " + strconv.Itoa(k.max) + ", each " + k.allowed }

func (k *texts) want() string {
	return `a list such as ["a","b"] of at most ` + strconv.Itoa(k.max) + " texts: " + k.allowed
}

func (k *texts) reset(c *Config) { *k.at(c) = nil }

// set reads the JSON of an environment variable.
func (k *texts) set(c *Config, in input) bool {
	if in.form != variable {
		return false
	}
	v, problem := parseList(in.text)
	if problem != "" {
		return false
	}
	r := reader{config: c}
	k.read(&r, "", v)
	return r.problems == nil
}

// read sets the list of a file.
func (k *texts) read(r *reader, path string, v *fastjson.Value) {
	entries := v.GetArray()
	if len(entries) > k.max {
		r.problems.add(path, "", "has "+strconv.Itoa(len(entries))+" entries, at most "+strconv.Itoa(k.max)+" are allowed")
		return
	}
	before := len(r.problems)
	var list []string
	for i, entry := range entries {
		var one string
		textAt(&one, k.accepts, k.allowed, false)(r, entryAt(path, i), entry)
		list = append(list, one)
	}
	if len(r.problems) == before {
		*k.at(r.config) = list
	}
}

// text is the list as JSON, which is YAML too.
func (k *texts) text(c *Config) string {
	list := *k.at(c)
	if len(list) == 0 {
		return ""
	}
	return string(appendTexts(nil, list))
}

func (k *texts) isDefault(c, _ *Config) bool { return len(*k.at(c)) == 0 }

func (k *texts) schema(dst []byte, _ *Config) []byte {
	dst = append(dst, `"type":"array","maxItems":`...)
	dst = strconv.AppendInt(dst, int64(k.max), 10)
	return append(dst, `,"items":{"type":"string"}`...)
}
