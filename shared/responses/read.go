package responses

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/valyala/fastjson"
)

func readText(r *Request, v *fastjson.Value, name string) *Error {
	return members(v, name, func(key string, v *fastjson.Value) (err *Error) {
		switch key {
		case "format":
			return readFormat(r, v, Of(name, key))
		case "verbosity":
			r.Verbosity, err = oneOf(v, Of(name, key), "low", "medium", "high")
			return err
		}
		return r.unknownMember(&r.Text, name, key, v)
	})
}

func readFormat(r *Request, v *fastjson.Value, path string) *Error {
	f := Format{}
	err := members(v, path, func(key string, v *fastjson.Value) (err *Error) {
		switch key {
		case "type":
			f.Type, err = oneOf(v, Of(path, key), "text", "json_object", "json_schema")
		case "name":
			if f.Name, err = text(v, Of(path, key), maxFormatName); err == nil && !ValidName(f.Name) {
				err = badName(Of(path, key), f.Name, maxFormatName)
			}
		case "description":
			f.Description = v
			_, err = text(v, Of(path, key), 1<<20)
		case "schema":
			f.Schema = v
			if v.GetObject() == nil {
				err = WrongType(Of(path, key), "an object", v)
			}
		case "strict":
			f.Strict = v
			_, err = boolean(v, Of(path, key))
		case "json_schema":
			err = unknown(Of(path, key)) // the form of Chat Completions
		default:
			err = r.unknownMember(&f.Extra, path, key, v)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case f.Type == "":
		return invalidCode(Of(path, "type"), "missing_required_parameter", "is required")
	case f.Type == "json_schema" && f.Name == "":
		return invalidCode(Of(path, "name"), "missing_required_parameter", "is required for json_schema")
	case f.Type == "json_schema" && f.Schema == nil:
		return invalidCode(Of(path, "schema"), "missing_required_parameter", "is required for json_schema")
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
			r.ReasoningEffort, err = oneOf(v, Of(name, key), "none", "minimal", "low", "medium", "high", "xhigh", "max")
		case "summary", "generate_summary":
			r.ReasoningSummary, err = oneOf(v, Of(name, key), "auto", "concise", "detailed")
		case "context":
			r.Reasoning = append(r.Reasoning, Member{key, v})
			_, err = text(v, Of(name, key), 64)
		default:
			err = r.unknownMember(&r.Reasoning, name, key, v)
		}
		return err
	})
}

// readStreamOptions reads stream_options. What is not known goes upstream, where
// it has the same name; include_usage is what it always is.
func readStreamOptions(r *Request, v *fastjson.Value, name string) *Error {
	return members(v, name, func(key string, v *fastjson.Value) *Error {
		switch {
		case key == "include_obfuscation":
			_, err := boolean(v, Of(name, key))
			return err
		case key == "include_usage" && v.Type() == fastjson.TypeTrue:
			return nil
		case key == "include_usage":
			return invalidCode(Of(name, key), "unsupported_parameter", "is a field of Chat Completions: a response always has its usage")
		}
		return r.unknownMember(&r.StreamOptions, name, key, v)
	})
}

func readInclude(r *Request, v *fastjson.Value, name string) *Error {
	if v.Type() != fastjson.TypeArray {
		return WrongType(name, "an array", v)
	}
	for i, entry := range v.GetArray() {
		s, err := oneOf(entry, name, includable...)
		if err != nil {
			_, err = oneOf(entry, At(name, i), includable...)
			return err
		}
		switch s {
		case "message.output_text.logprobs":
			r.Logprobs, r.IncludesLogprobs = true, i+1
		case "reasoning.encrypted_content":
			r.ReasoningCopy, r.IncludesCopy = true, i+1
		}
	}
	return nil
}

// includable are the values of include.
var includable = []string{"message.output_text.logprobs", "reasoning.encrypted_content",
	// What hosted tools would add, but for the images: there are none.
	"file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
	"message.input_image.image_url", "computer_call_output.output.image_url", "code_interpreter_call.outputs"}

// Includes reports whether include may have the value.
func Includes(value string) bool { return slices.Contains(includable, value) }

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
			_, err = text(v, Of(name, string(key)), 512)
		}
	})
	return err
}
