package mockllm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/valyala/fastjson"
)

// compose decides the answer to a request that was not refused.
func compose(r *request, st *steering, opt *Options) *answer {
	a := newAnswer(r, opt)
	a.reasoningField = st.reasoningField
	d := decide(r, st, opt)
	if len(d.calls) > 1 && !r.parallelToolCalls() {
		d.calls = d.calls[:1]
	}
	if d.reasoning != "" || wantsReasoning(r) {
		a.parser = true
	}
	if st.interleave {
		defer a.interleave()
	}
	if st.tokens > 0 {
		fixed := fixedTokens(st.tokens, strings.Repeat("x", max(0, st.tokenBytes-1)))
		a.text, a.deltas, a.completionTokens, a.finish, a.eos = fixed.text, fixed.deltas, fixed.completionTokens, fixed.finish, true
	} else {
		limit, _ := r.maxTokens()
		a.cut(d, limit, r)
	}
	if st.omitCallID {
		for i := range a.calls {
			a.calls[i].id = ""
		}
	}
	if st.finish != "" {
		a.finish = st.finish
	}
	return a
}

func newAnswer(r *request, opt *Options) *answer {
	a := &answer{
		stream:          r.bool("stream"),
		usage:           r.body.GetBool("stream_options", "include_usage"),
		continuousUsage: r.body.GetBool("stream_options", "include_usage") && r.body.GetBool("stream_options", "continuous_usage_stats"),
		parser:          opt.ReasoningParser,
		logprobs:        r.bool("logprobs"),
		topLogprobs:     r.body.GetInt("top_logprobs"),
		choices:         max(1, r.body.GetInt("n")),
		promptTokens:    r.promptTokens,
		reasoningField:  "reasoning",
		model:           opt.Model,
	}
	return a
}

// forRequest is the shared answer of Options.Tokens with the request's form.
func (a *answer) forRequest(r *request, opt *Options) *answer {
	own := newAnswer(r, opt)
	own.text, own.deltas, own.finish, own.eos = a.text, a.deltas, a.finish, a.eos
	own.completionTokens = a.completionTokens
	return own
}

// fixedTokens is an answer of exactly n tokens, all " token" and filling.
func fixedTokens(n int, filling string) *answer {
	word := " token" + filling
	text := strings.Repeat(word, n)
	a := &answer{text: text, deltas: make([]delta, n), finish: "stop", eos: true, completionTokens: n + 1}
	for i := range a.deltas {
		piece := text[i*len(word) : (i+1)*len(word)]
		a.deltas[i] = delta{text: piece, token: piece}
	}
	return a
}

func wantsReasoning(r *request) bool {
	effort := r.str("reasoning_effort")
	return effort != "" && effort != "none" || r.body.GetBool("chat_template_kwargs", "enable_thinking")
}

// decide says what to answer: what was steered, else what structured outputs
// or the tool choice demand, else a known answer, else the echo.
func decide(r *request, st *steering, opt *Options) draft {
	prompt := r.lastUserText()
	d := draft{refusal: st.refusal, reasoning: st.reasoning}
	if wantsReasoning(r) && d.reasoning == "" {
		d.reasoning = "1"
	}
	if d.reasoning == "1" {
		d.reasoning = fmt.Sprintf("The user said %d words. I answer with what I received.", len(strings.Fields(prompt)))
	}
	if isFalse(r.body.Get("include_reasoning")) {
		d.reasoning = ""
	}
	if text, ok := structuredText(r, prompt); ok && !st.setText {
		d.parseGenerated(text, opt.ReasoningParser, len(r.tools) > 0)
		return d
	}
	if st.setText {
		d.text = st.text
	}
	d.decideCalls(r, st, prompt)
	switch {
	case st.setText, d.calls != nil, d.refusal != "":
	case st.echo:
		d.text = echo(r)
	default:
		d.text = plainAnswer(r, prompt)
	}
	return d
}

// decideCalls decides the tool calls. "auto" calls the tools that the last
// message mentions when it is the user's; "required" those too, or all when
// none is mentioned; a named tool is called. With parallel_tool_calls false
// there is one call.
func (d *draft) decideCalls(r *request, st *steering, prompt string) {
	if len(r.tools) == 0 || len(st.call) > 0 && st.call[0].name == "none" {
		return
	}
	choice := r.body.Get("tool_choice")
	mode := string(choice.GetStringBytes())
	named := string(choice.GetStringBytes("function", "name"))
	called := chooseCalls(r, st, mode, named, prompt)
	if st.setText && st.call == nil && mode != "required" && named == "" {
		return // the steered text is the whole answer
	}
	for chosen := len(called); chosen > 0 && len(called) < st.calls; {
		called = append(called, called[len(called)-chosen])
	}
	if st.calls == 0 && st.call == nil {
		called = called[:min(len(called), maxCalls)]
	}
	d.named = named != ""
	d.forced = d.named || mode == "required"
	for _, call := range called {
		d.calls = append(d.calls, toolCall{"chatcmpl-tool-" + hexID(), call.name, call.arguments})
	}
}

// chooseCalls returns the calls with their arguments, made from the tool's
// schema where none are steered.
func chooseCalls(r *request, st *steering, mode, named, prompt string) (calls []steeredCall) {
	call := func(tool *fastjson.Value) {
		arguments := []byte("{}")
		if params := tool.Get("function", "parameters"); present(params) {
			arguments = appendInstance(nil, params, prompt)
		}
		calls = append(calls, steeredCall{toolName(tool), string(arguments)})
	}
	if st.call != nil && named == "" && mode != "none" {
		for _, steered := range st.call {
			i := slices.IndexFunc(r.tools, func(tool *fastjson.Value) bool { return toolName(tool) == steered.name })
			switch {
			case i < 0:
			case steered.arguments != "":
				calls = append(calls, steered)
			default:
				call(r.tools[i])
			}
		}
		return calls
	}
	for _, tool := range r.tools {
		switch name := toolName(tool); {
		case mode == "none":
		case named != "":
			if name == named && calls == nil {
				call(tool)
			}
		case mode == "required" || r.role(len(r.messages)-1) == "user":
			if mentions(prompt, name) {
				call(tool)
			}
		}
	}
	if calls == nil && (mode == "required" || st.calls > 0) {
		for _, tool := range r.tools {
			call(tool)
		}
	}
	return calls
}

// maxCalls bounds the calls of one answer, however many tools there are.
const maxCalls = 8

// mentions is true when a word of the tool's name with at least four letters
// stands in the prompt.
func mentions(prompt, tool string) bool {
	prompt = strings.ToLower(prompt)
	for _, word := range strings.FieldsFunc(strings.ToLower(tool), func(r rune) bool { return r == '_' || r == '-' || r == '.' }) {
		if len(word) >= 4 && strings.Contains(prompt, word) {
			return true
		}
	}
	return prompt != "" && strings.Contains(prompt, strings.ToLower(tool))
}

// structuredText is the text that response_format or structured_outputs force.
func structuredText(r *request, prompt string) (string, bool) {
	so := r.body.Get("structured_outputs")
	if expr := string(so.GetStringBytes("regex")); expr != "" {
		if text, err := matching(expr); err == nil {
			return text, true
		}
	}
	if choice := so.GetArray("choice"); len(choice) > 0 {
		return string(choice[0].GetStringBytes()), true
	}
	if schema := so.Get("json"); present(schema) && schema.Type() == fastjson.TypeObject {
		return string(appendInstance(nil, schema, prompt)), true
	}
	if len(r.tools) > 0 && string(r.body.GetStringBytes("tool_choice")) == "required" {
		return "", false
	}
	format := r.body.Get("response_format")
	switch string(format.GetStringBytes("type")) {
	case "json_schema":
		return string(appendInstance(nil, format.Get("json_schema", "schema"), prompt)), true
	case "json_object":
		return string(appendInstance(nil, jsonObject, prompt)), true
	}
	return "", false
}

// jsonObject is the object of response_format json_object.
var jsonObject = fastjson.MustParse(`{"properties":{"answer":{}}}`)
