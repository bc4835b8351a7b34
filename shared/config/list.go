package config

import (
	"antwort/shared/jsontext"

	"github.com/valyala/fastjson"
)

// parseList reads the JSON list of an environment variable.
func parseList(text string) (v *fastjson.Value, problem string) {
	if jsontext.Check([]byte(text), bounds) != nil {
		return nil, "it is not a JSON text"
	}
	v, err := fastjson.Parse(text)
	if err != nil || v.Type() != fastjson.TypeArray {
		return nil, "it is no JSON list"
	}
	return v, ""
}

// hiddenList is a list that is not shown when it is wrong: it may hold keys where
// digests or references should be.
type hiddenList struct{}

func (hiddenList) redact(in input) string {
	switch in.form {
	case quoted:
		return "a text"
	case variable:
		return Redacted
	}
	return in.got()
}

// bounds of a configuration as JSON.
var bounds = jsontext.Limits{Depth: 32, Values: 100_000}
