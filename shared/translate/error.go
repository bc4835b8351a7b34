package translate

import (
	"strings"

	"antwort/shared/chat"
	"antwort/shared/responses"
)

// UpstreamError translates an upstream's answer that is an error (a status
// other than 2xx). retryAfter is its Retry-After header. ownKey says that the
// request carried our own credential, not the client's: the upstream refusing
// it is not the client's fault.
func UpstreamError(status int, body []byte, retryAfter string, ownKey bool) *responses.Error {
	e := upstreamError(status, chat.ParseError(body), ownKey)
	e.RetryAfter = retryAfter
	return e
}

// inBand translates an error that came in the place of an answer.
func inBand(e *chat.Error) *responses.Error {
	status := e.Status
	if status == 0 {
		status = 500
	}
	return upstreamError(status, e, false)
}

func upstreamError(status int, said *chat.Error, ownKey bool) *responses.Error {
	overflow := isContextOverflow(said)
	if overflow && (status == 500 || status < 400) {
		status = 400 // whoever says it, it is the request that is too long
	}
	switch {
	case (status == 401 || status == 403) && ownKey:
		return responses.NewError(502, "upstream_auth", "the model server refused the gateway's credential: the operator must check engine.api_key")
	case status == 502 || status == 503:
		return responses.NewError(status, "upstream_unavailable", "the model server is not available: try again later")
	case status == 504:
		return responses.NewError(504, "upstream_timeout", "the model server did not answer in time")
	case status == 508:
		return responses.LoopDetected()
	case status >= 500:
		return responses.NewError(500, "upstream_error", "the model server failed to answer")
	case status < 400:
		return responses.NewError(502, "upstream_error", "the model server gave neither an answer nor an error")
	}
	e := responses.NewError(status, said.Code, scrub(said.Message))
	e.Param = param(said.Param)
	switch {
	case e.Message == "":
		e.Message = "the model server refused the request"
	case overflow:
		e.Code = "context_length_exceeded"
		if e.Param != "max_output_tokens" {
			e.Param = "input"
		}
	}
	if status == 404 && e.Code == "" && strings.Contains(said.Message, "model") {
		e.Code, e.Param = "model_not_found", "model"
	}
	return e
}

// isContextOverflow reports whether an upstream says that the prompt is longer
// than its model can read. Agents shorten their history on it, so every wording
// counts that is known of a server.
func isContextOverflow(said *chat.Error) bool {
	if said.Code == "context_length_exceeded" || said.Type == "exceed_context_size_error" {
		return true
	}
	message := strings.ToLower(said.Message)
	for _, words := range [...]string{
		"maximum context length",               // vLLM, SGLang, OpenAI
		"maximum model length",                 // vLLM
		"max model length",                     // vLLM
		"exceeds max_model_len",                // vLLM
		"is too long and exceeds limit of",     // vLLM of 2024
		"model's context length",               // vLLM since 2026, SGLang
		"reduce the length of the",             // vLLM, OpenAI: … input messages, … messages
		"exceeds the maximum allowed length (", // SGLang
		"maximum allowed input length",         // SGLang
		"available context size",               // llama.cpp
		"context size has been exce",           // llama.cpp, while it generates
		"context shift is disabled",            // llama.cpp of 2025, likewise
		"exceeds the context",                  // Ollama, OpenAI
		"than the context length",              // LM Studio
		"exceeds context length",               // Ollama
		"max context length",                   // Ollama
		"`inputs` must have less than",         // TGI
		"`inputs` tokens + `max_new_tokens`",   // TGI
		"not exceed max_num_tokens",            // TensorRT-LLM
		"not exceed max_seq_len",               // TensorRT-LLM
		"= max_seq_len (",                      // TensorRT-LLM: no room for an answer
		"exceeds maximum input length",         // TensorRT-LLM
		"exceeds maximum sequence length",      // TensorRT-LLM
		"session_len",                          // LMDeploy
		"session max length",                   // LMDeploy
		"input_length_error",                   // LMDeploy
		"context length exceeded",
		"prompt is too long",
		"input is too long",
	} {
		if strings.Contains(message, words) {
			return true
		}
	}
	return false
}

// param names the Responses field for the chat field that an upstream blames.
func param(chatParam string) string {
	field := strings.TrimPrefix(chatParam, "body.") // vLLM's way to say "the request's"
	field, _, _ = strings.Cut(field, ".")
	field, _, _ = strings.Cut(field, "[")
	if strings.Trim(field, "0123456789") == "" {
		return "" // a position in the text
	}
	switch field {
	case "messages", "prompt", "input_tokens", "input_text":
		return "input"
	case "max_tokens", "max_completion_tokens":
		return "max_output_tokens"
	case "response_format":
		return "text.format"
	case "reasoning_effort":
		return "reasoning.effort"
	case "logprobs":
		return "include"
	case "body":
		return ""
	}
	return field
}

// scrub takes out of an upstream's message what is nobody's business:
// addresses, file paths of its code, stack traces. Model names that look like
// paths stay.
func scrub(message string) string {
	message, _, _ = strings.Cut(message, "Traceback (most recent call last)")
	words := strings.Split(strings.TrimSpace(message), " ")
	for i, word := range words {
		bare := strings.Trim(word, "\"'`()[]{}<>,.;\n")
		switch {
		case strings.Contains(bare, "://") && !strings.HasPrefix(bare, "data:"):
			words[i] = "<url>"
		case isPath(bare):
			words[i] = "<path>"
		case isAddress(bare):
			words[i] = "<address>"
		}
	}
	return strings.Join(words, " ")
}

// isPath reports whether word is a file of the upstream's code or machine.
// Models are paths too, mostly below others than these.
func isPath(word string) bool {
	for _, root := range [...]string{"/root/", "/home/", "/usr/", "/opt/", "/var/", "/etc/", "/tmp/", "/proc/"} {
		if strings.HasPrefix(word, root) {
			return true
		}
	}
	return strings.Contains(word, ".py") && strings.ContainsAny(word, "/\\") || strings.Contains(word, "site-packages")
}

// isAddress reports whether word is an IP address, with or without a port, a
// host with a port, or the name of a Service in a cluster.
func isAddress(word string) bool {
	host, port, _ := strings.Cut(word, ":")
	switch {
	case strings.Contains(word, ".svc.cluster.local"), strings.Contains(word, "::") && strings.Trim(word, "0123456789abcdef:[]") == "":
		return true
	case strings.Count(host, ".") == 3 && strings.Trim(host, "0123456789.") == "":
		return true
	}
	isPort := port == "80" || port == "443" || len(port) >= 4 && len(port) <= 5 && strings.Trim(port, "0123456789") == ""
	return isPort && host != "" && strings.Trim(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == "" && strings.Trim(host, "0123456789") != ""
}

// ConnectError is the answer when no connection to the upstream was had.
func ConnectError() *responses.Error {
	return responses.NewError(502, "upstream_unreachable", "the model server could not be reached: try again later")
}

// TimeoutError is the answer when the upstream took longer than it may.
func TimeoutError() *responses.Error {
	return responses.NewError(504, "upstream_timeout", "the model server did not answer in time")
}

//go:noinline
func badUpstream(what string) *responses.Error {
	return responses.NewError(502, "upstream_invalid_answer", "the model server sent "+what)
}

// CutError is the answer when the upstream's stream ended too early.
func CutError() *responses.Error {
	return responses.NewError(502, "upstream_cut", "the model server ended the stream before the answer was complete")
}
