package translate

import (
	"strconv"

	"antwort/shared/jsontext"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// requestWork is one request being translated. Its buffers are reused.
type requestWork struct {
	tracing // for whoever wants to know
	opt     *Options
	owner   [16]byte // of the request
	parser  fastjson.Parser
	earlier fastjson.Parser
	short   []byte           // the request without its long strings
	outline []byte           // what is parsed of a long request
	opaque  jsontext.Opaques // what of it is only passed on
	r       responses.Request
	history *fastjson.Value   // the items of the turns before
	past    int               // how many they are
	items   []*fastjson.Value // they, and those of the input
	size    int               // bytes of them, as they came
	dst     []byte            // the chat request, written so far

	messages  int    // messages written
	system    []byte // leading system text, escaped, not yet written
	hasSystem bool   // there is leading system text
	begun     bool   // the leading system messages are over
	systemEnd int    // in dst: where the system message's text ends; 0 without one
	late      []byte // text of later system messages, escaped
	hasLate   bool
	assistant assistant // the assistant's message, not yet written
	media     []byte    // media parts of tool results, for a user message after them
	medium    place     // of the first part that is no text
	hasMedium bool
	results   results
	toolset   toolset
	scratch   []byte
	decoded   []byte
	escapes   int // in what was decoded, and is escaped
	files     int // bytes of text that files have become
	copied    int // bytes of copies of thoughts
	arguments int // bytes of those of calls
	argued    int // escapes in them
	values    int // in them
	repeated  int // bytes of the descriptions of namespaces, told with each tool
}

// begin makes w ready for another request.
func (w *requestWork) begin(opt *Options, dst []byte) {
	w.opt, w.dst, w.items = opt, dst, nil
	w.messages, w.hasSystem, w.begun, w.systemEnd, w.hasLate, w.hasMedium = 0, false, false, 0, false, false
	w.system, w.late, w.media = w.system[:0], w.late[:0], w.media[:0]
	w.escapes, w.files, w.copied, w.arguments, w.argued, w.values, w.repeated = 0, 0, 0, 0, 0, 0, 0
	w.assistant.reset()
	w.results.reset()
	w.toolset.reset(opt.Limits.Tools)
}

// translate writes the chat request and tells the turn what its answer needs.
func (w *requestWork) translate(u *Turn, id string, now int64) *responses.Error {
	r := &w.r
	model := r.Model
	w.mapped("model", "model")
	if model == "" {
		model = w.opt.DefaultModel
		w.added("model", "the request names none: it is engine.default_model")
	}
	if model == "" {
		err := responses.Invalid("model", "is required: this server has no default model")
		err.Code = "missing_required_parameter"
		return err
	}
	upstreamModel := model
	if w.opt.Model != "" {
		upstreamModel = w.opt.Model
	}
	tools, err := responses.ParseTools(r.Tools, "tools", w.dropped(), &w.toolset.count)
	if err == nil {
		w.leftOutTools(r.Tools, tools, "tools")
		err = w.toolset.add(tools, false)
	}
	if err != nil {
		return err
	}
	start := len(w.dst)
	w.str(modelMember)
	w.dst = jsontext.AppendString(w.dst, upstreamModel)
	sent := len(w.dst) - start
	w.str(`,"messages":[`)
	if err := w.input(); err != nil {
		return err
	}
	w.str(`]`)
	w.sampling()
	choice, err := responses.ParseToolChoice(r.ToolChoice, w.toolset.dropped)
	if err == nil {
		err = w.tools(&choice)
	}
	if err != nil {
		return err
	}
	w.format()
	if err := w.extra(); err != nil {
		return err
	}
	w.str(`}`)
	w.included(r.IncludesCopy, "")
	w.ended()
	u.resource.Answer(r, tools, &choice, model, id, now)
	if most := w.opt.TextBytes; most > 0 && r.Stream && u.resource.Repeats() > most {
		return responses.Invalid(w.longest(), "is too long for a stream, which repeats it three times: all that is repeated may have "+strconv.Itoa(most)+" bytes. Without stream it is repeated once, and may be longer")
	}
	u.copies, u.summaries = r.ReasoningCopy, w.opt.summarizes(r)
	u.streaming, u.model, u.sent = r.Stream, model, sent
	u.maxOutput = 0
	if r.MaxOutputTokens != nil {
		u.maxOutput = r.MaxOutputTokens.GetInt64()
	}
	u.medium, u.hasMedium, u.converses = w.medium, w.hasMedium, r.Conversation != ""
	if r.Background {
		u.begun = responses.Queued
	}
	u.raised = raisedTools(u.raised[:0], w.toolset.lowered)
	u.dropped = w.toolset.droppedTypes()
	return nil
}

// longest is the member that a long response repeats most of.
func (w *requestWork) longest() string {
	switch {
	case jsontext.LongLength(w.r.Instructions) > w.opt.TextBytes/3:
		return "instructions"
	case len(w.r.Tools) > 0:
		return "tools"
	}
	return "text"
}

// dropped is where the types of tools that are left out go; nil when they are
// refused.
func (w *requestWork) dropped() *[]string {
	if !w.opt.DropUnsupportedTools {
		return nil
	}
	return &w.toolset.dropped
}

// str is not inlined: its hundred copies were 45 KB of the filter.
//
//go:noinline
func (w *requestWork) str(s string) { w.dst = append(w.dst, s...) }

// word writes a text between two others.
//
//go:noinline
func (w *requestWork) word(before, s, after string) {
	w.dst = append(append(append(w.dst, before...), s...), after...)
}

// field writes a field of the request under a name of its own.
func (w *requestWork) field(from, name string, v *fastjson.Value) {
	w.mapped(from, name)
	w.member(name, v)
}

// member writes a member whose value goes upstream as it is.
func (w *requestWork) member(name string, v *fastjson.Value) {
	if v == nil {
		return
	}
	w.word(`,"`, name, `":`)
	w.dst = jsontext.AppendValue(w.dst, v)
}

func (w *requestWork) sampling() {
	r := &w.r
	if r.Stream {
		w.str(`,"stream":true,"stream_options":{"include_usage":true`)
		w.mapped("stream", "stream")
		w.added("stream_options.include_usage", "a response has its usage")
		if r.Background {
			w.mapped("background", "stream")
		}
		if w.opt.ContinuousUsage {
			w.str(`,"continuous_usage_stats":true`)
			w.added("stream_options.continuous_usage_stats", "tokens are limited: what an answer that breaks off has used is counted too")
		}
		for _, m := range r.StreamOptions {
			w.passed("stream_options.", m.Key)
			w.extraMember(m)
		}
		w.str(`}`)
	}
	w.field("max_output_tokens", "max_completion_tokens", r.MaxOutputTokens)
	w.field("temperature", "temperature", r.Temperature)
	w.field("top_p", "top_p", r.TopP)
	w.field("presence_penalty", "presence_penalty", r.PresencePenalty)
	w.field("frequency_penalty", "frequency_penalty", r.FrequencyPenalty)
	if r.Logprobs {
		w.str(`,"logprobs":true`)
		w.included(r.IncludesLogprobs, "logprobs")
		if r.TopLogprobs > 0 {
			w.str(`,"top_logprobs":`)
			w.dst = appendInt(w.dst, r.TopLogprobs)
			w.mapped("top_logprobs", "top_logprobs")
			w.mapped("top_logprobs", "logprobs")
		}
	}
	if r.ReasoningEffort != "" {
		w.word(`,"reasoning_effort":"`, r.ReasoningEffort, `"`)
		w.mapped("reasoning.effort", "reasoning_effort")
	}
	if r.TruncationAuto {
		w.str(`,"truncate_prompt_tokens":-1`)
		w.mapped("truncation", "truncate_prompt_tokens")
	}
}

func (w *requestWork) format() {
	f := &w.r.Format
	switch f.Type {
	case "json_object":
		w.str(`,"response_format":{"type":"json_object"}`)
		w.mapped("text.format.type", "response_format.type")
	case "json_schema":
		const from, to = "text.format", "response_format.json_schema."
		w.word(`,"response_format":{"type":"json_schema","json_schema":{"name":"`, f.Name, `"`)
		w.mapped("text.format.type", "response_format.type")
		w.mappedMember(from, "name", to)
		w.mappedMember(from, "description", to)
		w.member("description", f.Description)
		w.mappedMember(from, "schema", to)
		w.member("schema", f.Schema)
		w.mappedMember(from, "strict", to)
		w.member("strict", f.Strict)
		for _, m := range f.Extra {
			w.mappedMember(from, m.Key, to)
			w.extraMember(m)
		}
		w.str(`}}`)
	default:
		w.looked("text.format.type")
	}
}

// extra passes on what the Responses API does not define.
func (w *requestWork) extra() *responses.Error {
	for _, m := range w.r.Extra {
		if m.Key == "truncate_prompt_tokens" && w.r.TruncationAuto {
			return invalidValue(m.Key, "contradicts truncation auto: send one of them")
		}
		w.passed("", m.Key)
		w.extraMember(m)
	}
	return nil
}

func (w *requestWork) extraMember(m responses.Member) {
	dst := jsontext.AppendString(append(w.dst, ','), m.Key)
	w.dst = jsontext.AppendValue(append(dst, ':'), m.Value)
}
