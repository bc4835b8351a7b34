package chat

import "github.com/valyala/fastjson"

// Usage is the token counts of an answer. What an upstream does not count is 0.
type Usage struct {
	Known                                   bool // there are counts at all
	Input, Output, Total, Cached, Reasoning int64
}

// read reads a usage object. One without counts says nothing.
func (u *Usage) read(v *fastjson.Value) {
	var input, output, total, inputs, outputs, hit, cached, reasoning *fastjson.Value
	visit(v, func(key []byte, v *fastjson.Value) {
		switch string(key) {
		case "prompt_tokens":
			input = v
		case "completion_tokens":
			output = v
		case "total_tokens":
			total = v
		case "prompt_tokens_details": // vLLM, SGLang, OpenAI
			inputs = v
		case "completion_tokens_details":
			outputs = v
		case "prompt_cache_hit_tokens": // DeepSeek
			hit = v
		case "cached_tokens": // Kimi
			cached = v
		case "reasoning_tokens": // SGLang
			reasoning = v
		}
	})
	if !isCount(input) && !isCount(output) && !isCount(total) {
		return
	}
	*u = Usage{Known: true, Input: count(input), Output: count(output), Total: count(total)}
	if u.Total == 0 {
		u.Total = u.Input + u.Output
	}
	u.Cached = count(inputs.Get("cached_tokens"), hit, cached)
	u.Reasoning = count(outputs.Get("reasoning_tokens"), reasoning)
}

// count is the first number of tokens among values, 0 without one. Some servers
// write 10.0 for 10.
func count(values ...*fastjson.Value) int64 {
	for _, v := range values {
		if isCount(v) {
			return int64(v.GetFloat64())
		}
	}
	return 0
}

// isCount reports whether v is a number of tokens.
func isCount(v *fastjson.Value) bool {
	if v == nil || v.Type() != fastjson.TypeNumber {
		return false
	}
	n := v.GetFloat64()
	return n >= 0 && n < 1<<53
}
