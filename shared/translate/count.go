package translate

import (
	"strconv"

	"antwort/shared/config"
	"antwort/shared/jsontext"
	"antwort/shared/responses"
)

// How many tokens a request has is asked of who would answer it: of vLLM's /tokenize,
// which is sent what its chat template would be given, or by a completion of one
// token, which costs the reading of the prompt.

// A Count is a way to count: a value of engine.count_tokens but off.
type Count string

// Path is where the request goes.
func (c Count) Path() string {
	if c == config.Tokenize {
		return "/tokenize"
	}
	return "/v1/chat/completions"
}

// Append appends the request that counts the prompt of a chat request, which begins
// with its model, as that does.
func (c Count) Append(dst, chat []byte) []byte {
	if c == config.Tokenize {
		return appendTokenize(dst, chat)
	}
	return appendOneToken(dst, chat)
}

// appendTokenize appends the body of POST /tokenize. It is given what vLLM's chat
// endpoint itself gives the template: reasoning_effort and documents are members of
// chat_template_kwargs there, and an effort decides about thinking where the request
// does not.
func appendTokenize(dst, chat []byte) []byte {
	var kwargs, effort, documents []byte
	ends := false // the request says how the prompt ends
	start := len(dst)
	jsontext.Members(chat, func(name, value []byte, _ int) bool {
		switch string(name) {
		case "chat_template_kwargs":
			kwargs = value
			return true
		case "reasoning_effort":
			effort = value
			return true
		case "documents":
			documents = value
			return true
		case "add_generation_prompt", "continue_final_message":
			ends = true
		case "model", "messages", "tools", "add_special_tokens", "chat_template", "media_io_kwargs", "mm_processor_kwargs":
		default:
			return true
		}
		dst = appendNamed(dst, start, string(name), value)
		return true
	})
	if !ends {
		dst = append(dst, `,"add_generation_prompt":true`...)
	}
	if kwargs != nil || effort != nil || documents != nil {
		dst = append(dst, `,"chat_template_kwargs":`...)
		dst = appendKwargs(dst, kwargs, effort, documents)
	}
	return append(dst, '}')
}

// appendNamed appends a member of the object that begins at start.
//
//go:noinline
func appendNamed(dst []byte, start int, name string, value []byte) []byte {
	if len(dst) == start {
		dst = append(dst, '{')
	} else {
		dst = append(dst, ',')
	}
	dst = append(append(append(dst, '"'), name...), `":`...)
	return append(dst, value...)
}

func appendKwargs(dst, kwargs, effort, documents []byte) []byte {
	start, thinks := len(dst), false
	jsontext.Members(kwargs, func(name, value []byte, _ int) bool {
		switch string(name) {
		case "reasoning_effort":
			if effort != nil {
				return true
			}
		case "documents":
			if documents != nil {
				return true
			}
		case "enable_thinking":
			thinks = true
		}
		dst = appendNamed(dst, start, string(name), value)
		return true
	})
	if effort != nil {
		dst = appendNamed(dst, start, "reasoning_effort", effort)
		if !thinks {
			dst = appendNamed(dst, start, "enable_thinking", strconv.AppendBool(nil, string(effort) != `"none"`))
		}
	}
	if documents != nil {
		dst = appendNamed(dst, start, "documents", documents)
	}
	if len(dst) == start {
		dst = append(dst, '{')
	}
	return append(dst, '}')
}

// appendOneToken appends a chat request with the same prompt that wants one token,
// and nothing that only its answer would have.
func appendOneToken(dst, chat []byte) []byte {
	start := len(dst)
	jsontext.Members(chat, func(name, value []byte, _ int) bool {
		switch string(name) {
		case "stream", "stream_options", "max_completion_tokens", "min_tokens", "logprobs", "top_logprobs", "n", "response_format", "structured_outputs", "stop":
			return true
		case "tool_choice":
			if string(value) == `"required"` { // what is cut off is no call
				value = []byte(`"auto"`)
			}
		}
		dst = appendNamed(dst, start, string(name), value)
		return true
	})
	return append(dst, `,"max_completion_tokens":1}`...)
}

// Read reads the model server's answer. The error is a 502 for what says no number.
func (c Count) Read(answer []byte) (int64, *responses.Error) {
	if jsontext.Check(answer, jsontext.Limits{}) != nil {
		return 0, noNumber()
	}
	return c.ReadChecked(answer)
}

func noNumber() *responses.Error { return badUpstream("an answer without the number of tokens") }

// maxBeforeCount is how far the number of tokens may stand from where an answer begins. vLLM says
// it first, and the tokens themselves last.
const maxBeforeCount = 4 << 20

// ReadChecked is Read for an answer that a Checker has passed.
func (c Count) ReadChecked(answer []byte) (int64, *responses.Error) {
	if c != config.Tokenize {
		used, _ := jsontext.LastMember(answer, "usage")
		answer = used
	}
	tokens, problem := int64(-1), error(nil)
	answer = answer[:min(len(answer), maxBeforeCount)]
	jsontext.Members(answer, func(name, value []byte, at int) bool {
		if said := string(name); (said == "count" || said == "prompt_tokens") && at+len(value) < len(answer) {
			tokens, problem = strconv.ParseInt(string(value), 10, 64)
			return false
		}
		return true
	})
	if problem != nil || tokens < 0 {
		return 0, noNumber()
	}
	return tokens, nil
}

// AppendCount appends the answer to POST /v1/responses/input_tokens.
func AppendCount(dst []byte, tokens int64) []byte {
	dst = append(dst, `{"object":"response.input_tokens","input_tokens":`...)
	return append(strconv.AppendInt(dst, tokens, 10), '}')
}

// Refused is what a client is told of a model server's refusal to count, which
// UpstreamError has translated: it may have no such endpoint.
func (c Count) Refused(e *responses.Error) *responses.Error {
	if c != config.Tokenize || e.Code == "model_not_found" || e.Status != 404 && e.Status != 405 {
		return e
	}
	return responses.NewError(501, "unsupported_endpoint", "the model server counts no tokens: it has no /tokenize. The gateway's operator can set engine.count_tokens: completion")
}

// Uncountable refuses to count a request with a part that is no text: /tokenize counts
// its placeholder only.
func (c Count) Uncountable(u *Turn) *responses.Error {
	if c != config.Tokenize || !u.hasMedium {
		return nil
	}
	e := responses.Invalid(u.medium.path(), "is no text, and its tokens cannot be counted before the model reads it. The gateway's operator can set engine.count_tokens: completion")
	e.Code = "unsupported_content"
	if u.medium.item < 0 && u.converses {
		e.Param = "conversation"
	}
	return e
}

// sawMedium notes a part that is no text.
func (w *requestWork) sawMedium(at place) {
	if !w.hasMedium {
		w.hasMedium, w.medium = true, at
	}
}
