package mockllm

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/valyala/fastjson"
)

// refuse checks a request in vLLM's order: rules between fields, the schema,
// the model, the messages, the token limits, the sampling parameters.
func refuse(r *request, opt *Options) *refusal {
	for _, check := range []func(*request) *refusal{
		refuseTools, refuseStructuredOutputs, refuseLogprobs, refuseStreamOptions, refuseResponseFormat,
		refuseFields, opt.refuseModel, opt.refuseParts, opt.refuseOrder, refuseLength, refuseSampling,
	} {
		if refused := check(r); refused != nil {
			return refused
		}
	}
	return nil
}

func refuseTools(r *request) *refusal {
	tools := r.body.Get("tools")
	if tools != nil && tools.Type() == fastjson.TypeArray && len(r.tools) == 0 {
		return badRequest("tools", "`tools` must not be an empty array. Either provide at least one tool or omit the field entirely.")
	}
	choice := r.body.Get("tool_choice")
	if !present(choice) || string(choice.GetStringBytes()) == "none" {
		return nil
	}
	if !present(tools) {
		return badRequest("tool_choice", "When using `tool_choice`, `tools` must be set.")
	}
	if choice.Type() != fastjson.TypeObject {
		switch string(choice.GetStringBytes()) {
		case "auto", "required":
			return nil
		}
		return badRequest("tool_choice", fmt.Sprintf("Invalid value for `tool_choice`: %s! "+
			`Only named tools, "none", "auto" or "required" are supported.`, strings.Trim(choice.String(), `"`)))
	}
	const usage = `Correct usage: ` + "`" + `{"type": "function", "function": {"name": "my_function"}}` + "`"
	function := choice.Get("function")
	if function == nil || function.Type() != fastjson.TypeObject {
		return badRequest("tool_choice.function", "Invalid value for `function`: `"+pyPlain(function)+"` in `tool_choice`! "+usage)
	}
	name := function.Get("name")
	if name == nil {
		return badRequest("tool_choice.function.name", "Expected field `name` in `function` in `tool_choice`! "+usage)
	}
	if len(name.GetStringBytes()) == 0 {
		return badRequest("tool_choice.function.name", "Invalid `name` in `function`: `"+pyPlain(name)+"` in `tool_choice`! "+usage)
	}
	for _, tool := range r.tools {
		if toolName(tool) == string(name.GetStringBytes()) {
			return nil
		}
	}
	return badRequest("tool_choice", "The tool specified in `tool_choice` does not match any of the specified `tools`")
}

func refuseStructuredOutputs(r *request) *refusal {
	so := r.body.Get("structured_outputs")
	n := 0
	for _, key := range []string{"json", "regex", "choice"} {
		if present(so.Get(key)) {
			n++
		}
	}
	if n > 1 {
		return badRequest("", "You can only use one kind of constraints for structured outputs ('json', 'regex' or 'choice').")
	}
	if choice := r.body.Get("tool_choice"); n > 0 && present(choice) && choice.Type() == fastjson.TypeObject {
		return badRequest("", "You can only either use constraints for structured outputs or tools, not both.")
	}
	return nil
}

func refuseLogprobs(r *request) *refusal {
	top := r.body.Get("top_logprobs")
	if !present(top) {
		return nil
	}
	if !isNumber(top) {
		return badRequest("top_logprobs", "`top_logprobs` must be an integer.", pyPlain(top))
	}
	n := top.GetFloat64()
	if n < 0 && n != -1 {
		return badRequest("top_logprobs", "`top_logprobs` must be a positive value or -1.", top.String())
	}
	if n != 0 && !r.bool("logprobs") {
		return badRequest("top_logprobs", "when using `top_logprobs`, `logprobs` must be set to true.")
	}
	return nil
}

func refuseStreamOptions(r *request) *refusal {
	if o := r.body.GetObject("stream_options"); o != nil && o.Len() > 0 && !r.bool("stream") {
		return badRequest("stream_options", "Stream options can only be defined when `stream=True`.")
	}
	return nil
}

func refuseResponseFormat(r *request) *refusal {
	format := r.body.Get("response_format")
	if string(format.GetStringBytes("type")) == "json_schema" && !present(format.Get("json_schema")) {
		return badRequest("response_format", "When response_format type is 'json_schema', the 'json_schema' field must be provided.")
	}
	return nil
}

func (o *Options) refuseModel(r *request) *refusal {
	model := r.str("model")
	if model == "" || model == o.Model {
		return nil
	}
	return &refusal{status: 404, typ: "NotFoundError", param: "model", message: fmt.Sprintf(
		"The model `%s` does not exist. Valid aliases: %s", model, hidePath(o.Model))}
}

func refuseLength(r *request) *refusal {
	limit := r.maxModelLen
	if n, key := r.maxTokens(); n > limit {
		return badRequest(key, fmt.Sprintf("%s=%d cannot be greater than max_model_len=%d. Please request fewer output tokens.", key, n, limit), n)
	}
	truncate := r.body.Get("truncate_prompt_tokens")
	if n := r.body.GetInt("truncate_prompt_tokens"); n > limit {
		return badRequest("truncate_prompt_tokens", fmt.Sprintf(
			"truncate_prompt_tokens=%d cannot be greater than max_model_len = %d. Please request a smaller truncation size.", n, limit), n)
	}
	r.promptTokens = countPrompt(r)
	if present(truncate) {
		r.promptTokens = min(r.promptTokens, limit-1)
	}
	if r.promptTokens > limit {
		return badRequest("input_tokens", fmt.Sprintf("This model's maximum context length is %d tokens. However, your prompt contains "+
			"at least %d input tokens, which exceeds this limit even without any output tokens. "+
			"Please reduce the length of the input prompt.", limit, limit+1), limit+1)
	}
	return nil
}

const maxChoices = 128

func refuseSampling(r *request) *refusal {
	num := func(key string, fallback float64) float64 {
		if r.has(key) {
			return r.body.GetFloat64(key)
		}
		return fallback
	}
	for _, key := range []string{"presence_penalty", "frequency_penalty"} {
		if f := num(key, 0); f < -2 || f > 2 {
			return badRequest("", fmt.Sprintf("%s must be in [-2, 2], got %s.", key, pyFloat(f)))
		}
	}
	if f := num("repetition_penalty", 1); f <= 0 {
		return badRequest("", "repetition_penalty must be greater than zero, got "+pyFloat(f)+".")
	}
	if f := num("temperature", 1); f < 0 {
		return badRequest("temperature", "temperature must be non-negative, got "+pyFloat(f)+".", pyFloat(f))
	} else if f > 2 {
		return badRequest("temperature", "temperature must be in [0, 2], got "+pyFloat(f)+".", pyFloat(f))
	}
	if f := num("top_p", 1); f <= 0 || f > 1 {
		return badRequest("top_p", "top_p must be in (0, 1], got "+pyFloat(f)+".", pyFloat(f))
	}
	if k := num("top_k", 0); k < -1 {
		return badRequest("", fmt.Sprintf("top_k must be 0 (disable), or at least 1, got %v.", k))
	}
	if f := num("min_p", 0); f < 0 || f > 1 {
		return badRequest("", "min_p must be in [0, 1], got "+pyFloat(f)+".")
	}
	if n, key := r.maxTokens(); r.has(key) && n < 1 {
		return badRequest("max_tokens", fmt.Sprintf("max_tokens must be at least 1, got %d.", n), n)
	}
	if n := num("top_logprobs", 0); n > 20 {
		return badRequest("logprobs", fmt.Sprintf("Requested sample logprobs of %v, which is greater than max allowed: 20", n), n)
	}
	for _, s := range stopStrings(r) {
		if s == "" {
			return badRequest("", "stop cannot contain an empty string.")
		}
	}
	if n := r.body.GetInt("n"); r.has("n") && n < 1 {
		return badRequest("", "n must be at least 1, got "+strconv.Itoa(n)+".")
	} else if n > maxChoices {
		return badRequest("", fmt.Sprintf("n must be at most %d, got %d. To increase this limit, set the VLLM_MAX_N_SEQUENCES environment variable.", maxChoices, n))
	}
	return nil
}

// pyPlain is str() of a JSON value.
func pyPlain(v *fastjson.Value) string {
	if v == nil {
		return "None"
	}
	return strings.Trim(pyValue(v), "'")
}
