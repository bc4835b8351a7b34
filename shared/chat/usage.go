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
	in, hasIn := count(input)
	out, hasOut := count(output)
	all, hasAll := count(total)
	if !hasIn && !hasOut && !hasAll {
		return
	}
	if all == 0 {
		all = in + out
	}
	*u = Usage{Known: true, Input: in, Output: out, Total: all}
	u.Cached = firstCount(inputs.Get("cached_tokens"), hit, cached)
	u.Reasoning = firstCount(outputs.Get("reasoning_tokens"), reasoning)
}

// firstCount is the first number of tokens among values, 0 without one.
func firstCount(values ...*fastjson.Value) int64 {
	for _, v := range values {
		if n, ok := count(v); ok {
			return n
		}
	}
	return 0
}

// count reads a number of tokens. Some servers write 10.0 for 10.
func count(v *fastjson.Value) (n int64, ok bool) {
	if v == nil || v.Type() != fastjson.TypeNumber {
		return 0, false
	}
	if n := v.GetInt64(); n > 0 && n < 1<<53 { // without a fraction, as nearly all are written
		return n, true
	}
	f := v.GetFloat64()
	if f < 0 || f >= 1<<53 {
		return 0, false
	}
	return int64(f), true
}
