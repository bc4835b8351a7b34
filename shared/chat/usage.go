package chat

import "github.com/valyala/fastjson"

// Usage is the token counts of an answer. What an upstream does not count is 0.
type Usage struct {
	Known                                   bool // there are counts at all
	Input, Output, Total, Cached, Reasoning int64
}

// read reads a usage object. One without counts says nothing.
func (u *Usage) read(v *fastjson.Value) {
	input, hasInput := count(v, "prompt_tokens")
	output, hasOutput := count(v, "completion_tokens")
	total, hasTotal := count(v, "total_tokens")
	if !hasInput && !hasOutput && !hasTotal {
		return
	}
	*u = Usage{Known: true, Input: input, Output: output, Total: total}
	if total == 0 {
		u.Total = input + output
	}
	u.Cached = firstCount(v, []string{"prompt_tokens_details", "cached_tokens"}, // vLLM, SGLang, OpenAI
		[]string{"prompt_cache_hit_tokens"}, // DeepSeek
		[]string{"cached_tokens"})           // Kimi
	u.Reasoning = firstCount(v, []string{"completion_tokens_details", "reasoning_tokens"},
		[]string{"reasoning_tokens"}) // SGLang
}

// firstCount returns the first count that is there.
func firstCount(v *fastjson.Value, paths ...[]string) int64 {
	for _, path := range paths {
		if n, ok := count(v, path...); ok {
			return n
		}
	}
	return 0
}

// count reads a number of tokens; some servers write 10.0 for 10.
func count(v *fastjson.Value, path ...string) (int64, bool) {
	v = v.Get(path...)
	if v == nil || v.Type() != fastjson.TypeNumber {
		return 0, false
	}
	n := v.GetFloat64()
	if !(n >= 0 && n < 1<<53) {
		return 0, false
	}
	return int64(n), true
}
