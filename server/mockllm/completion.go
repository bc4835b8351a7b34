package mockllm

import (
	"strconv"
	"time"

	"antwort/shared/jsontext"
)

func (a *answer) appendWhole(dst []byte) []byte {
	dst = append(dst, `{"id":"chatcmpl-`...)
	dst = append(dst, hexID()...)
	dst = append(dst, `","object":"chat.completion","created":`...)
	dst = strconv.AppendInt(dst, time.Now().Unix(), 10)
	dst = append(dst, `,"model":`...)
	dst = jsontext.AppendString(dst, a.model)
	dst = append(dst, `,"choices":[`...)
	for i := range a.choices {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = a.appendChoice(dst, i)
	}
	dst = append(dst, `],"service_tier":null,"system_fingerprint":"`+fingerprint+`","usage":{`...)
	dst = a.appendUsage(dst)
	dst = append(dst, `,"prompt_tokens_details":null,"completion_tokens_details":`...)
	if a.parser {
		dst = append(dst, `{"reasoning_tokens":`...)
		dst = strconv.AppendInt(dst, int64(a.reasoningTokens), 10)
		dst = append(dst, '}')
	} else {
		dst = append(dst, "null"...)
	}
	return append(dst, `},"prompt_logprobs":null,"prompt_token_ids":null,"prompt_text":null,`+
		`"kv_transfer_params":null,"ec_transfer_params":null,"metrics":null}`...)
}

func (a *answer) appendUsage(dst []byte) []byte {
	completion := a.completionTokens * a.choices
	dst = append(dst, `"prompt_tokens":`...)
	dst = strconv.AppendInt(dst, int64(a.promptTokens), 10)
	dst = append(dst, `,"total_tokens":`...)
	dst = strconv.AppendInt(dst, int64(a.promptTokens+completion), 10)
	dst = append(dst, `,"completion_tokens":`...)
	return strconv.AppendInt(dst, int64(completion), 10)
}

func (a *answer) appendChoice(dst []byte, index int) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(index), 10)
	dst = append(dst, `,"message":{"role":"assistant","content":`...)
	if a.nullText {
		dst = append(dst, "null"...)
	} else {
		dst = jsontext.AppendString(dst, a.text)
	}
	dst = append(dst, `,"refusal":`...)
	dst = appendOrNull(dst, a.refusal)
	dst = append(dst, `,"annotations":null,"audio":null,"function_call":null`...)
	if len(a.calls) > 0 {
		dst = append(dst, `,"tool_calls":[`...)
		for i, call := range a.calls {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, '{')
			if call.id != "" {
				dst = append(append(append(dst, `"id":"`...), call.id...), `",`...)
			}
			dst = append(dst, `"type":"function","function":{"name":`...)
			dst = jsontext.AppendString(dst, call.name)
			dst = append(dst, `,"arguments":`...)
			dst = jsontext.AppendString(dst, call.arguments)
			dst = append(dst, "}}"...)
		}
		dst = append(dst, ']')
	}
	dst = append(append(append(dst, `,"`...), a.reasoningField...), `":`...)
	dst = appendOrNull(dst, a.reasoning)
	dst = append(dst, `},"logprobs":`...)
	if a.logprobs {
		dst = append(dst, `{"content":[`...)
		n := 0
		for _, d := range a.deltas {
			if d.token == "" {
				continue
			}
			if n++; n > 1 {
				dst = append(dst, ',')
			}
			dst = a.appendLogprob(dst, d.token)
		}
		if a.eos {
			if n > 0 {
				dst = append(dst, ',')
			}
			dst = a.appendLogprob(dst, endToken)
		}
		dst = append(dst, "]}"...)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"finish_reason":`...)
	dst = jsontext.AppendString(dst, a.finish)
	dst = append(dst, `,"stop_reason":`...)
	dst = appendOrNull(dst, a.stopReason)
	return append(dst, `,"token_ids":null,"routed_experts":null}`...)
}

const endToken = "<|im_end|>"

// appendLogprob appends one token's entry. The probabilities are made up from
// the token's length; the alternatives are the token with marks behind it.
func (a *answer) appendLogprob(dst []byte, token string) []byte {
	dst = appendTokenProb(dst, token, 0)
	dst = append(dst, `,"top_logprobs":[`...)
	alternative := token
	for i := range a.topLogprobs {
		if i > 0 {
			dst = append(dst, ',')
			alternative += "?"
		}
		dst = append(appendTokenProb(dst, alternative, i), '}')
	}
	return append(dst, "]}"...)
}

func appendTokenProb(dst []byte, token string, rank int) []byte {
	dst = append(dst, `{"token":`...)
	dst = jsontext.AppendString(dst, token)
	dst = append(dst, `,"logprob":`...)
	dst = strconv.AppendFloat(dst, -0.0078125*float64(1+len(token)%16)-1.5*float64(rank), 'f', -1, 64)
	dst = append(dst, `,"bytes":[`...)
	for i := range len(token) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, int64(token[i]), 10)
	}
	return append(dst, ']')
}

// appendOrNull appends a string, null for the empty one.
func appendOrNull(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return jsontext.AppendString(dst, s)
}
