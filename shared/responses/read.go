package responses

import (
	"strconv"
	"unicode/utf8"

	"github.com/valyala/fastjson"
)

func readText(r *Request, v *fastjson.Value, name string) *Error {
	return members(v, name, func(key string, v *fastjson.Value) (err *Error) {
		switch key {
		case "format":
			return readFormat(r, v, At(name, key))
		case "verbosity":
			r.Verbosity, err = oneOf(v, At(name, key), "low", "medium", "high")
			return err
		}
		return unknown(At(name, key))
	})
}

func readFormat(r *Request, v *fastjson.Value, path string) *Error {
	f := Format{}
	err := members(v, path, func(key string, v *fastjson.Value) (err *Error) {
		switch key {
		case "type":
			f.Type, err = oneOf(v, At(path, key), "text", "json_object", "json_schema")
		case "name":
			if f.Name, err = text(v, At(path, key), 64); err == nil && !ValidName(f.Name) {
				err = badName(At(path, key), f.Name)
			}
		case "description":
			f.Description = v
			_, err = text(v, At(path, key), 1<<20)
		case "schema":
			f.Schema = v
			if v.GetObject() == nil {
				err = WrongType(At(path, key), "an object", v)
			}
		case "strict":
			f.Strict = v
			_, err = boolean(v, At(path, key))
		default:
			err = unknown(At(path, key))
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case f.Type == "":
		return invalidCode(At(path, "type"), "missing_required_parameter", "is required")
	case f.Type == "json_schema" && f.Name == "":
		return invalidCode(At(path, "name"), "missing_required_parameter", "is required for json_schema")
	case f.Type == "json_schema" && f.Schema == nil:
		return invalidCode(At(path, "schema"), "missing_required_parameter", "is required for json_schema")
	case f.Type != "json_schema" && (f.Name != "" || f.Schema != nil || f.Strict != nil || f.Description != nil):
		return invalidCode(path, "invalid_value", "name, description, schema and strict belong to type json_schema")
	}
	r.Format = f
	return nil
}

func readReasoning(r *Request, v *fastjson.Value, name string) *Error {
	r.ReasoningSet = true
	return members(v, name, func(key string, v *fastjson.Value) (err *Error) {
		switch key {
		case "effort":
			r.ReasoningEffort, err = oneOf(v, At(name, key), "none", "minimal", "low", "medium", "high", "xhigh", "max")
		case "summary", "generate_summary":
			r.ReasoningSummary, err = oneOf(v, At(name, key), "auto", "concise", "detailed")
		default:
			err = unknown(At(name, key))
		}
		return err
	})
}

func readInclude(r *Request, v *fastjson.Value, name string) *Error {
	if v.Type() != fastjson.TypeArray {
		return WrongType(name, "an array", v)
	}
	for i, entry := range v.GetArray() {
		s, err := oneOf(entry, At(name, i), "message.output_text.logprobs", "reasoning.encrypted_content")
		if err != nil {
			return err
		}
		r.Logprobs = r.Logprobs || s == "message.output_text.logprobs"
	}
	return nil
}

func readMetadata(r *Request, v *fastjson.Value, name string) *Error {
	if v.GetObject() == nil {
		return WrongType(name, "an object", v)
	}
	r.Metadata = v.GetObject()
	if n := r.Metadata.Len(); n > 16 {
		return invalidCode(name, "object_above_max_properties", "has "+strconv.Itoa(n)+" pairs, the limit is 16")
	}
	var err *Error
	r.Metadata.Visit(func(key []byte, v *fastjson.Value) {
		switch {
		case err != nil:
		case utf8.RuneCount(key) > 64:
			err = invalidCode(name, "string_above_max_length", "has a key longer than 64 characters")
		default:
			_, err = text(v, At(name, string(key)), 512)
		}
	})
	return err
}
