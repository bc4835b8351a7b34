package responses

import (
	"iter"
	"strconv"

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
		r.Model, err = text(v, name, MaxModel)
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
	{"background", func(r *Request, v *fastjson.Value, name string) (err *Error) {
		r.Background, err = boolean(v, name)
		return err
	}},
	{"stream_options", readStreamOptions},
	{"client_metadata", func(*Request, *fastjson.Value, string) *Error { return nil }}, // what Codex tells its provider of itself
	{"previous_response_id", func(r *Request, v *fastjson.Value, name string) (err *Error) {
		if r.Previous, err = text(v, name, 256); err == nil && r.Previous == "" {
			err = NoPrevious("")
		}
		return err
	}},
	{"conversation", func(r *Request, _ *fastjson.Value, _ string) *Error {
		r.Converses = true // which one, says whoever keeps it
		return nil
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
// response has no place for. These two lists are no maps, which the filter would
// make when it starts, by much code.
var refusedFields = [...]struct{ name, why string }{
	{"messages", "is a field of Chat Completions: send input"},
	{"max_tokens", "is a field of Chat Completions: send max_output_tokens"},
	{"max_completion_tokens", "is a field of Chat Completions: send max_output_tokens"},
	{"response_format", "is a field of Chat Completions: send text.format"},
	{"reasoning_effort", "is a field of Chat Completions: send reasoning.effort"},
	{"functions", "is a field of Chat Completions: send tools"},
	{"function_call", "is a field of Chat Completions: send tool_choice"},
	{"logprobs", "is a field of Chat Completions: send include [\"message.output_text.logprobs\"] or top_logprobs"},
	{"modalities", "a response holds text only"},
	{"audio", "a response holds text only"},
	{"guided_json", "was removed from vLLM, which ignores it silently: send structured_outputs"},
	{"guided_regex", "was removed from vLLM, which ignores it silently: send structured_outputs"},
	{"guided_choice", "was removed from vLLM, which ignores it silently: send structured_outputs"},
	{"guided_grammar", "was removed from vLLM, which ignores it silently: send structured_outputs"},
	{"guided_decoding_backend", "was removed from vLLM, which ignores it silently: send structured_outputs"},
	{"guided_whitespace_pattern", "was removed from vLLM, which ignores it silently: send structured_outputs"},
	{"context_management", "is not done here, and to answer without it would not be what was asked for: it takes two requests to the model server, for a summary and for the answer, which antwort serve sends and a filter does not"},
	{"moderation", "is not done here, and to answer without it would not be what was asked for"},
	{"access_programs", "there are none here"},
	{"prompt_logprobs", "a response has no place for logprobs of the prompt"},
	{"return_token_ids", "a response has no place for token ids"},
	{"echo", "a response has no place for the prompt"},
	{"n", "a response has one answer: n must be 1"},
}

// vllmFields are the sampling and serving fields of vLLM that a request may
// carry; they go upstream as they are.
var vllmFields = [...]string{
	"top_k", "min_p", "seed", "stop", "repetition_penalty", "logit_bias",
	"chat_template_kwargs", "structured_outputs", "vllm_xargs", "cache_salt", "priority",
	"include_reasoning", "ignore_eos", "min_tokens",
}

// whyRefused is empty for a field that is not refused.
func whyRefused(name string) string {
	for i := range refusedFields {
		if refusedFields[i].name == name {
			return refusedFields[i].why
		}
	}
	return ""
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
		for _, name := range vllmFields {
			if !yield(name, "passed") {
				return
			}
		}
		for _, field := range refusedFields {
			if !yield(field.name, "refused") {
				return
			}
		}
	}
}

// NotStored refuses a request that continues a response where none is stored.
func NotStored() *Error {
	return invalidCode("previous_response_id", "previous_response_not_found", "no response is stored here: send the whole conversation as input items")
}

// NoBackground refuses a request that is to be worked on while nobody waits, where
// no response is stored.
func NoBackground() *Error {
	return invalidCode("background", "unsupported_parameter", "no response is worked on here while nobody waits for it: send background false and read the answer, or stream it")
}

// NoConversations refuses a request for a conversation where none is kept.
func NoConversations() *Error {
	return invalidCode("conversation", "previous_response_not_found", "no conversation is kept here: send the whole conversation as input items, or previous_response_id where responses are stored")
}

// NoPrevious refuses a request that continues a response that there is not, or that
// is somebody else's: nobody learns which.
func NoPrevious(id string) *Error {
	e := NewError(400, "previous_response_not_found", "Previous response with id '"+id+"' not found.")
	e.Param = "previous_response_id"
	return e
}

// The longest names. Of functions OpenAI takes more than Chat Completions does.
const (
	MaxName       = 128
	maxFormatName = 64
)

// ValidName reports whether s is of the characters of which names of functions
// and formats are made: ^[a-zA-Z0-9_-]+$.
func ValidName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return s != ""
}

func badName(param, name string, longest int) *Error {
	return invalidCode(param, "invalid_value", quote(name)+" is not a name: 1 to "+strconv.Itoa(longest)+" letters, digits, _ and - are allowed")
}
