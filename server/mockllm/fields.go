package mockllm

import (
	"fmt"

	"github.com/valyala/fastjson"
)

// A fieldKind is the type that vLLM's schema gives a request field. All of
// them accept null.
type fieldKind struct {
	is        func(*fastjson.Value) bool
	kind, msg string
}

var (
	aString = fieldKind{isString, "string_type", "Input should be a valid string"}
	aBool   = fieldKind{isBool, "bool_parsing", "Input should be a valid boolean, unable to interpret input"}
	aFloat  = fieldKind{isNumber, "float_parsing", "Input should be a valid number, unable to parse string as a number"}
	anInt   = fieldKind{isInt, "int_parsing", "Input should be a valid integer, unable to parse string as an integer"}
	aDict   = fieldKind{isObject, "dict_type", "Input should be a valid dictionary"}
	aList   = fieldKind{isArray, "list_type", "Input should be a valid list"}
)

var fields = []struct {
	name string
	kind fieldKind
}{
	{"model", aString}, {"frequency_penalty", aFloat}, {"logit_bias", aDict}, {"logprobs", aBool},
	{"max_tokens", anInt}, {"max_completion_tokens", anInt}, {"n", anInt}, {"presence_penalty", aFloat},
	{"response_format", aDict}, {"seed", anInt}, {"stream", aBool}, {"stream_options", aDict},
	{"temperature", aFloat}, {"top_p", aFloat}, {"tools", aList}, {"parallel_tool_calls", aBool},
	{"user", aString}, {"top_k", anInt}, {"min_p", aFloat}, {"repetition_penalty", aFloat},
	{"ignore_eos", aBool}, {"min_tokens", anInt}, {"include_reasoning", aBool},
	{"truncate_prompt_tokens", anInt}, {"chat_template_kwargs", aDict}, {"structured_outputs", aDict},
	{"priority", anInt}, {"cache_salt", aString}, {"vllm_xargs", aDict},
}

var efforts = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

// refuseFields is the schema: required fields and types. Unknown fields are
// ignored, guided_* among them, as vLLM does.
func refuseFields(r *request) *refusal {
	var errs []fieldError
	add := func(v *fastjson.Value, kind, loc, msg string) {
		errs = append(errs, fieldError{kind, "body." + loc, msg, pyValue(v)})
	}
	switch messages := r.body.Get("messages"); {
	case messages == nil:
		add(r.body, "missing", "messages", "Field required")
	case !isArray(messages):
		add(messages, aList.kind, "messages", aList.msg)
	default:
		messageFields(r, add)
	}
	for _, f := range fields {
		if v := r.body.Get(f.name); present(v) && !f.kind.is(v) {
			add(v, f.kind.kind, f.name, f.kind.msg)
		}
	}
	if v := r.body.Get("stop"); present(v) && !isString(v) && !isArray(v) {
		add(v, aString.kind, "stop", aString.msg)
	}
	if v := r.body.Get("reasoning_effort"); present(v) && !oneOf(string(v.GetStringBytes()), efforts) {
		add(v, "literal_error", "reasoning_effort", "Input should be 'none', 'minimal', 'low', 'medium', 'high', 'xhigh' or 'max'")
	}
	if v := r.body.Get("response_format", "type"); r.has("response_format") && (v == nil || !oneOf(string(v.GetStringBytes()), []string{"text", "json_object", "json_schema", "structural_tag"})) {
		add(r.body.Get("response_format"), "literal_error", "response_format.type", "Input should be 'text', 'json_object' or 'json_schema'")
	}
	for i, tool := range r.tools {
		toolFields(i, tool, add)
	}
	if errs != nil {
		return invalid(errs...)
	}
	return nil
}

func toolFields(i int, tool *fastjson.Value, add func(v *fastjson.Value, kind, loc, msg string)) {
	loc := fmt.Sprintf("tools.%d", i)
	if !isObject(tool) {
		add(tool, aDict.kind, loc, aDict.msg)
		return
	}
	if t := tool.Get("type"); t != nil && string(t.GetStringBytes()) != "function" {
		add(t, "literal_error", loc+".type", "Input should be 'function'")
	}
	switch f := tool.Get("function"); {
	case f == nil:
		add(tool, "missing", loc+".function", "Field required")
	case !isObject(f):
		add(f, aDict.kind, loc+".function", aDict.msg)
	case f.Get("name") == nil:
		add(f, "missing", loc+".function.name", "Field required")
	case !isString(f.Get("name")):
		add(f.Get("name"), aString.kind, loc+".function.name", aString.msg)
	case present(f.Get("parameters")) && !isObject(f.Get("parameters")):
		add(f.Get("parameters"), aDict.kind, loc+".function.parameters", aDict.msg)
	}
}

func messageFields(r *request, add func(v *fastjson.Value, kind, loc, msg string)) {
	for i, msg := range r.messages {
		loc := fmt.Sprintf("messages.%d", i)
		if !isObject(msg) {
			add(msg, aDict.kind, loc, aDict.msg)
			continue
		}
		if role := msg.Get("role"); role == nil {
			add(msg, "missing", loc+".role", "Field required")
		} else if !isString(role) {
			add(role, aString.kind, loc+".role", aString.msg)
		}
		if c := msg.Get("content"); present(c) && !isString(c) && !isArray(c) {
			add(c, aString.kind, loc+".content", aString.msg)
		}
		for _, key := range []string{"reasoning", "tool_call_id", "name"} {
			if v := msg.Get(key); present(v) && !isString(v) {
				add(v, aString.kind, loc+"."+key, aString.msg)
			}
		}
		for j, call := range msg.GetArray("tool_calls") {
			callFields(fmt.Sprintf("%s.tool_calls.%d", loc, j), call, add)
		}
	}
}

func callFields(loc string, call *fastjson.Value, add func(v *fastjson.Value, kind, loc, msg string)) {
	if !isString(orNull(call.Get("id"))) {
		add(orNull(call.Get("id")), aString.kind, loc+".id", aString.msg)
	}
	for _, key := range []string{"name", "arguments"} {
		if v := orNull(call.Get("function", key)); !isString(v) {
			add(v, aString.kind, loc+".function."+key, aString.msg)
		}
	}
}
