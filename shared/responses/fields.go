package responses

import (
	"iter"
	"strconv"
	"unicode/utf8"

	"antwort/shared/jsontext"

	"github.com/valyala/fastjson"
)

// fields are the request fields that the Responses API defines, with what
// reads them; translate/FIELDS.md says what becomes of each, and a test holds
// the two together.
var fields = []struct {
	name string
	read func(r *Request, v *fastjson.Value, name string) *Error
}{
	{"model", func(r *Request, v *fastjson.Value, name string) (err *Error) {
		r.Model, err = text(v, name, 256)
		return err
	}},
	{"input", func(r *Request, v *fastjson.Value, name string) *Error {
		r.Input = v
		return nil
	}},
	{"instructions", func(r *Request, v *fastjson.Value, name string) *Error {
		r.Instructions = v
		return nil
	}},
	{"stream", func(r *Request, v *fastjson.Value, name string) (err *Error) {
		r.Stream, err = boolean(v, name)
		return err
	}},
	{"max_output_tokens", integer(16, 1<<31-1, func(r *Request) **fastjson.Value { return &r.MaxOutputTokens })},
	{"max_tool_calls", integer(1, 1<<31-1, func(r *Request) **fastjson.Value { return &r.MaxToolCalls })},
	{"temperature", number(0, 2, func(r *Request) **fastjson.Value { return &r.Temperature })},
	{"top_p", number(0, 1, func(r *Request) **fastjson.Value { return &r.TopP })},
	{"presence_penalty", number(-2, 2, func(r *Request) **fastjson.Value { return &r.PresencePenalty })},
	{"frequency_penalty", number(-2, 2, func(r *Request) **fastjson.Value { return &r.FrequencyPenalty })},
	{"top_logprobs", func(r *Request, v *fastjson.Value, name string) *Error {
		var kept *fastjson.Value
		err := integer(0, 20, func(*Request) **fastjson.Value { return &kept })(r, v, name)
		if err == nil {
			r.TopLogprobs = kept.GetInt()
			r.Logprobs = r.Logprobs || r.TopLogprobs > 0
		}
		return err
	}},
	{"parallel_tool_calls", func(r *Request, v *fastjson.Value, name string) *Error {
		r.ParallelToolCalls = v
		_, err := boolean(v, name)
		return err
	}},
	{"tools", func(r *Request, v *fastjson.Value, name string) *Error {
		if v.Type() != fastjson.TypeArray {
			return WrongType(name, "an array", v)
		}
		r.Tools = v.GetArray()
		return nil
	}},
	{"tool_choice", func(r *Request, v *fastjson.Value, name string) *Error {
		if t := v.Type(); t != fastjson.TypeString && t != fastjson.TypeObject {
			return WrongType(name, "a string or an object", v)
		}
		r.ToolChoice = v
		return nil
	}},
	{"text", readText},
	{"reasoning", readReasoning},
	{"include", readInclude},
	{"truncation", func(r *Request, v *fastjson.Value, name string) *Error {
		s, err := oneOf(v, name, "auto", "disabled")
		r.TruncationAuto = s == "auto"
		return err
	}},
	{"metadata", readMetadata},
	{"service_tier", func(r *Request, v *fastjson.Value, name string) (err *Error) {
		r.ServiceTier, err = oneOf(v, name, "auto", "default", "flex", "scale", "priority")
		return err
	}},
	{"safety_identifier", identifier(64, func(r *Request) **fastjson.Value { return &r.SafetyIdentifier })},
	{"prompt_cache_key", identifier(64, func(r *Request) **fastjson.Value { return &r.PromptCacheKey })},
	{"user", identifier(512, func(r *Request) **fastjson.Value { return &r.User })},
	{"store", func(r *Request, v *fastjson.Value, name string) *Error {
		_, err := boolean(v, name)
		return err
	}},
	{"background", func(r *Request, v *fastjson.Value, name string) *Error {
		background, err := boolean(v, name)
		if background {
			return invalidCode(name, "unsupported_parameter", "background responses need a store, which this server does not have: send background false and read the answer, or stream it")
		}
		return err
	}},
	{"stream_options", func(r *Request, v *fastjson.Value, name string) *Error {
		return members(v, name, func(key string, v *fastjson.Value) *Error {
			if key != "include_obfuscation" {
				return unknown(At(name, key))
			}
			_, err := boolean(v, At(name, key))
			return err
		})
	}},
	{"previous_response_id", func(r *Request, v *fastjson.Value, name string) *Error {
		return notStored(name)
	}},
	{"conversation", func(r *Request, v *fastjson.Value, name string) *Error {
		return notStored(name)
	}},
	{"prompt", func(r *Request, v *fastjson.Value, name string) *Error {
		return invalidCode(name, "unsupported_parameter", "prompt templates are stored on the server, and this one has none: send instructions and input")
	}},
}

var fieldIndex = func() map[string]uint {
	index := make(map[string]uint, len(fields))
	for i := range fields {
		index[fields[i].name] = uint(i)
	}
	return index
}()

// refusedFields are the fields of other APIs that would be misread upstream,
// collide with what the translation writes, or ask for an answer that a
// response has no place for.
var refusedFields = map[string]string{
	"messages":                  "is a field of Chat Completions: send input",
	"max_tokens":                "is a field of Chat Completions: send max_output_tokens",
	"max_completion_tokens":     "is a field of Chat Completions: send max_output_tokens",
	"response_format":           "is a field of Chat Completions: send text.format",
	"reasoning_effort":          "is a field of Chat Completions: send reasoning.effort",
	"functions":                 "is a field of Chat Completions: send tools",
	"function_call":             "is a field of Chat Completions: send tool_choice",
	"logprobs":                  "is a field of Chat Completions: send include [\"message.output_text.logprobs\"] or top_logprobs",
	"modalities":                "a response holds text only",
	"audio":                     "a response holds text only",
	"guided_json":               "was removed from vLLM, which ignores it silently: send structured_outputs",
	"guided_regex":              "was removed from vLLM, which ignores it silently: send structured_outputs",
	"guided_choice":             "was removed from vLLM, which ignores it silently: send structured_outputs",
	"guided_grammar":            "was removed from vLLM, which ignores it silently: send structured_outputs",
	"guided_decoding_backend":   "was removed from vLLM, which ignores it silently: send structured_outputs",
	"guided_whitespace_pattern": "was removed from vLLM, which ignores it silently: send structured_outputs",
	"prompt_logprobs":           "a response has no place for logprobs of the prompt",
	"return_token_ids":          "a response has no place for token ids",
	"echo":                      "a response has no place for the prompt",
	"n":                         "a response has one answer: n must be 1",
}

// vllmFields are the sampling and serving fields of vLLM that a request may
// carry; they go upstream as they are.
var vllmFields = map[string]struct{}{
	"top_k": {}, "min_p": {}, "seed": {}, "stop": {}, "repetition_penalty": {}, "logit_bias": {},
	"chat_template_kwargs": {}, "structured_outputs": {}, "vllm_xargs": {}, "cache_salt": {}, "priority": {},
	"include_reasoning": {}, "ignore_eos": {}, "min_tokens": {},
}

// Fields yields the names of all fields of a request that the code knows, and
// whether it reads, passes on or refuses them.
func Fields() iter.Seq2[string, string] {
	return func(yield func(name, fate string) bool) {
		for i := range fields {
			if !yield(fields[i].name, "read") {
				return
			}
		}
		for name := range vllmFields {
			if !yield(name, "passed") {
				return
			}
		}
		for name := range refusedFields {
			if !yield(name, "refused") {
				return
			}
		}
	}
}

func notStored(param string) *Error {
	return invalidCode(param, "previous_response_not_found", "no response or conversation is stored here: send the whole conversation as input items")
}

// WrongType returns the error for a field that is not of the wanted type.
func WrongType(param, want string, v *fastjson.Value) *Error {
	return invalidCode(param, "invalid_type", "must be "+want+", not "+kind(v))
}

// kind names v's type as JSON does.
func kind(v *fastjson.Value) string {
	switch v.Type() {
	case fastjson.TypeTrue, fastjson.TypeFalse:
		return "a boolean"
	case fastjson.TypeNumber:
		return "a number"
	case fastjson.TypeString:
		return "a string"
	case fastjson.TypeArray:
		return "an array"
	case fastjson.TypeObject:
		return "an object"
	default:
		return "null"
	}
}

func boolean(v *fastjson.Value, param string) (bool, *Error) {
	switch v.Type() {
	case fastjson.TypeTrue:
		return true, nil
	case fastjson.TypeFalse:
		return false, nil
	}
	return false, WrongType(param, "a boolean", v)
}

func text(v *fastjson.Value, param string, longest int) (string, *Error) {
	if v.Type() != fastjson.TypeString {
		return "", WrongType(param, "a string", v)
	}
	s := string(v.GetStringBytes())
	if n := utf8.RuneCountInString(s); n > longest {
		return "", invalidCode(param, "string_above_max_length", "is "+strconv.Itoa(n)+" characters long, the limit is "+strconv.Itoa(longest))
	}
	return s, nil
}

func oneOf(v *fastjson.Value, param string, allowed ...string) (string, *Error) {
	s, err := text(v, param, 1<<20)
	if err != nil {
		return "", err
	}
	list := ""
	for i, a := range allowed {
		if s == a {
			return a, nil
		}
		if i > 0 {
			list += ", "
		}
		list += a
	}
	return "", invalidCode(param, "invalid_value", "unknown value "+strconv.Quote(short(s))+"; allowed: "+list)
}

// short cuts a string that is quoted in a message.
func short(s string) string {
	if len(s) <= 64 {
		return s
	}
	n := 61
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

type place func(*Request) **fastjson.Value

func identifier(longest int, at place) func(*Request, *fastjson.Value, string) *Error {
	return func(r *Request, v *fastjson.Value, name string) *Error {
		*at(r) = v
		_, err := text(v, name, longest)
		return err
	}
}

func number(low, high float64, at place) func(*Request, *fastjson.Value, string) *Error {
	return func(r *Request, v *fastjson.Value, name string) *Error {
		if v.Type() != fastjson.TypeNumber {
			return WrongType(name, "a number", v)
		}
		if f := v.GetFloat64(); !(f >= low && f <= high) {
			return outOfRange(name, strconv.FormatFloat(low, 'g', -1, 64), strconv.FormatFloat(high, 'g', -1, 64), v)
		}
		*at(r) = v
		return nil
	}
}

func integer(low, high int64, at place) func(*Request, *fastjson.Value, string) *Error {
	return func(r *Request, v *fastjson.Value, name string) *Error {
		if v.Type() != fastjson.TypeNumber {
			return WrongType(name, "an integer", v)
		}
		n, err := v.Int64()
		if err != nil {
			return invalidCode(name, "invalid_type", "must be an integer")
		}
		if n < low || n > high {
			return outOfRange(name, strconv.FormatInt(low, 10), strconv.FormatInt(high, 10), v)
		}
		*at(r) = v
		return nil
	}
}

func outOfRange(param, low, high string, v *fastjson.Value) *Error {
	return invalidCode(param, "out_of_range", "is "+short(string(v.MarshalTo(nil)))+", must be from "+low+" to "+high)
}

// members calls f for every member of the object v that is not null.
func members(v *fastjson.Value, param string, f func(key string, v *fastjson.Value) *Error) (err *Error) {
	o := v.GetObject()
	if o == nil {
		return WrongType(param, "an object", v)
	}
	o.Visit(func(key []byte, v *fastjson.Value) {
		if err == nil && !jsontext.IsNull(v) {
			err = f(string(key), v)
		}
	})
	return err
}

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

// ValidName reports whether s may name a function or a format:
// ^[a-zA-Z0-9_-]{1,64}$.
func ValidName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func badName(param, name string) *Error {
	return invalidCode(param, "invalid_value", strconv.Quote(short(name))+" is not a name: 1 to 64 letters, digits, _ and - are allowed")
}
