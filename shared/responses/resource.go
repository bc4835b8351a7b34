package responses

import (
	"bytes"
	"slices"
	"strconv"

	"antwort/shared/jsontext"

	"github.com/valyala/fastjson"
)

// A Resource renders the response resource with all its 31 keys. What does not
// change while the response is made is rendered once.
type Resource struct {
	id        string // the random part of the response's ids
	createdAt int64
	echo      []byte // the members that repeat the request
}

// Answer makes r the resource that answers the request q, in the memory that it
// has. Model is what the answer names; id the random part of its ids; createdAt
// is in Unix seconds.
func (r *Resource) Answer(q *Request, tools []Tool, choice ToolChoice, model, id string, createdAt int64) {
	r.id, r.createdAt = id, createdAt
	if cap(r.echo) == 0 {
		r.echo = make([]byte, 0, 1<<10)
	}
	r.echo = q.appendEcho(r.echo[:0], tools, choice, model)
}

// stored are the members of a response that is stored. Within a text its quotes
// would be escaped.
const stored = `,"background":false,"store":true`

// NotStored says that the response could not be stored, although it was to be.
func (r *Resource) NotStored() {
	if i := bytes.Index(r.echo, []byte(stored)); i >= 0 {
		end := i + len(stored)
		r.echo = slices.Replace(r.echo, end-len("true"), end, []byte("false")...)
	}
}

// Held returns how many bytes of memory the resource takes.
func (r *Resource) Held() int { return cap(r.echo) }

// outputMember begins the list of items in a resource.
const outputMember = `,"output":[`

// A State is what changes of a response resource.
type State struct {
	Status      string // "in_progress", "completed", "incomplete" or "failed"
	CompletedAt int64  // Unix seconds; shown when completed
	Reason      string // incomplete_details.reason
	Err         *Error // error
	Output      []byte // the items, rendered and separated by commas
	Usage       *Usage // nil is null
}

// Usage counts tokens.
type Usage struct {
	Input, Output, Total, Cached, Reasoning int64
}

// Append appends the resource in the state s.
func (r *Resource) Append(dst []byte, s State) []byte {
	dst = append(dst, `{"id":"resp_`...)
	dst = append(dst, r.id...)
	dst = append(dst, `","object":"response","created_at":`...)
	dst = strconv.AppendInt(dst, r.createdAt, 10)
	dst = append(dst, `,"status":"`...)
	dst = append(dst, s.Status...)
	dst = append(dst, `","completed_at":`...)
	if s.Status == "completed" {
		dst = strconv.AppendInt(dst, s.CompletedAt, 10)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"error":`...)
	dst = s.Err.appendResponseError(dst)
	dst = append(dst, `,"incomplete_details":`...)
	if s.Reason == "" {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, `{"reason":`...)
		dst = jsontext.AppendString(dst, s.Reason)
		dst = append(dst, '}')
	}
	dst = append(dst, outputMember...)
	dst = append(dst, s.Output...)
	dst = append(dst, ']')
	dst = append(dst, r.echo...)
	dst = append(dst, `,"usage":`...) // the last: those whom the answer passes look for it from the end
	dst = s.Usage.append(dst)
	return append(dst, '}')
}

// appendResponseError appends the resource's error member {"code","message"}.
func (e *Error) appendResponseError(dst []byte) []byte {
	if e == nil {
		return append(dst, "null"...)
	}
	code := e.Code
	if code == "" {
		code = e.Type
	}
	dst = append(dst, `{"code":`...)
	dst = jsontext.AppendString(dst, code)
	dst = append(dst, `,"message":`...)
	dst = jsontext.AppendString(dst, e.Message)
	return append(dst, '}')
}

func (u *Usage) append(dst []byte) []byte {
	if u == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"input_tokens":`...)
	dst = strconv.AppendInt(dst, u.Input, 10)
	dst = append(dst, `,"input_tokens_details":{"cached_tokens":`...)
	dst = strconv.AppendInt(dst, u.Cached, 10)
	dst = append(dst, `,"cache_write_tokens":0},"output_tokens":`...)
	dst = strconv.AppendInt(dst, u.Output, 10)
	dst = append(dst, `,"output_tokens_details":{"reasoning_tokens":`...)
	dst = strconv.AppendInt(dst, u.Reasoning, 10)
	dst = append(dst, `},"total_tokens":`...)
	dst = strconv.AppendInt(dst, u.Total, 10)
	return append(dst, '}')
}

func (r *Request) appendEcho(dst []byte, tools []Tool, choice ToolChoice, model string) []byte {
	dst = append(dst, `,"model":`...)
	dst = jsontext.AppendString(dst, model)
	if r.Stored {
		dst = append(dst, stored...)
	} else {
		dst = append(dst, `,"background":false,"store":false`...)
	}
	dst = append(dst, `,"previous_response_id":`...)
	dst = appendStringOrNull(dst, r.Previous)
	dst = append(dst, `,"instructions":`...)
	dst = appendRawOrNull(dst, r.Instructions)
	if r.set&^notOptions == 0 {
		return append(dst, defaultOptions...)
	}
	return r.appendOptions(dst, tools, choice)
}

// notOptions are the fields that appendOptions does not show.
var notOptions = uint64(1)<<fieldIndex["model"] | 1<<fieldIndex["input"] | 1<<fieldIndex["instructions"] | 1<<fieldIndex["stream"] | 1<<fieldIndex["store"] |
	1<<fieldIndex["client_metadata"] | 1<<fieldIndex["previous_response_id"]

// defaultOptions are the options of a request that sets none, as most do.
var defaultOptions = (&Request{Format: Format{Type: "text"}}).appendOptions(nil, nil, ToolChoice{Mode: "auto"})

func (r *Request) appendOptions(dst []byte, tools []Tool, choice ToolChoice) []byte {
	dst = append(dst, `,"max_output_tokens":`...)
	dst = appendOrNull(dst, r.MaxOutputTokens)
	dst = append(dst, `,"max_tool_calls":`...)
	dst = appendOrNull(dst, r.MaxToolCalls)
	dst = append(dst, `,"temperature":`...)
	dst = appendOr(dst, r.Temperature, "1")
	dst = append(dst, `,"top_p":`...)
	dst = appendOr(dst, r.TopP, "1")
	dst = append(dst, `,"presence_penalty":`...)
	dst = appendOr(dst, r.PresencePenalty, "0")
	dst = append(dst, `,"frequency_penalty":`...)
	dst = appendOr(dst, r.FrequencyPenalty, "0")
	dst = append(dst, `,"top_logprobs":`...)
	dst = strconv.AppendInt(dst, int64(r.TopLogprobs), 10)
	dst = append(dst, `,"parallel_tool_calls":`...)
	dst = appendOr(dst, r.ParallelToolCalls, "true")
	dst = append(dst, `,"tools":[`...)
	dst = appendTools(dst, tools)
	dst = append(dst, `],"tool_choice":`...)
	dst = choice.appendEcho(dst)
	dst = append(dst, `,"truncation":`...)
	if r.TruncationAuto {
		dst = append(dst, `"auto"`...)
	} else {
		dst = append(dst, `"disabled"`...)
	}
	dst = append(dst, `,"text":{"format":`...)
	dst = r.Format.appendEcho(dst)
	if r.Verbosity != "" {
		dst = append(dst, `,"verbosity":`...)
		dst = jsontext.AppendString(dst, r.Verbosity)
	}
	dst = appendEchoed(dst, r.Text)
	dst = append(dst, `},"reasoning":`...)
	if r.ReasoningSet {
		dst = append(dst, `{"effort":`...)
		dst = appendStringOrNull(dst, r.ReasoningEffort)
		dst = append(dst, `,"summary":`...)
		dst = appendStringOrNull(dst, r.ReasoningSummary)
		dst = appendEchoed(dst, r.Reasoning)
		dst = append(dst, '}')
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"service_tier":"`...)
	if r.ServiceTier != "" {
		dst = append(dst, r.ServiceTier...)
	} else {
		dst = append(dst, "default"...)
	}
	dst = append(dst, `","safety_identifier":`...)
	dst = appendOrNull(dst, r.SafetyIdentifier)
	dst = append(dst, `,"prompt_cache_key":`...)
	dst = appendOrNull(dst, r.PromptCacheKey)
	if r.User != nil {
		dst = append(dst, `,"user":`...)
		dst = jsontext.AppendValue(dst, r.User)
	}
	dst = append(dst, `,"metadata":{`...)
	if r.Metadata != nil {
		first := true
		r.Metadata.Visit(func(key []byte, v *fastjson.Value) {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = jsontext.AppendString(dst, key)
			dst = append(dst, ':')
			dst = jsontext.AppendValue(dst, v)
		})
	}
	return append(dst, '}')
}

func (f *Format) appendEcho(dst []byte) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, f.Type...)
	dst = append(dst, '"')
	if f.Type == "json_schema" {
		dst = append(dst, `,"name":"`...)
		dst = append(dst, f.Name...)
		dst = append(dst, `","description":`...)
		dst = appendOrNull(dst, f.Description)
		dst = append(dst, `,"schema":`...)
		dst = jsontext.AppendValue(dst, f.Schema)
		dst = append(dst, `,"strict":`...)
		dst = appendOr(dst, f.Strict, "false")
	}
	dst = appendEchoed(dst, f.Extra)
	return append(dst, '}')
}

func appendEchoed(dst []byte, members []Member) []byte {
	for _, m := range members {
		dst = append(dst, ',')
		dst = jsontext.AppendString(dst, m.Key)
		dst = append(dst, ':')
		dst = jsontext.AppendValue(dst, m.Value)
	}
	return dst
}

func appendOr(dst []byte, v *fastjson.Value, absent string) []byte {
	if v == nil {
		return append(dst, absent...)
	}
	return jsontext.AppendValue(dst, v)
}

func appendRawOrNull(dst []byte, v *fastjson.Value) []byte {
	if v == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst, _ = jsontext.AppendRaw(dst, v)
	return append(dst, '"')
}

// AppendFailed appends a resource that came in an event, with the members that
// a failure changes: status, error and output (items, separated by commas).
func AppendFailed(dst []byte, resource *fastjson.Object, items []byte, cause *Error) []byte {
	dst = append(dst, '{')
	first := true
	resource.Visit(func(key []byte, v *fastjson.Value) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = jsontext.AppendString(dst, key)
		dst = append(dst, ':')
		switch string(key) {
		case "status":
			dst = append(dst, `"failed"`...)
		case "error":
			dst = cause.appendResponseError(dst)
		case "output":
			dst = append(dst, '[')
			dst = append(dst, items...)
			dst = append(dst, ']')
		default:
			dst = jsontext.AppendValue(dst, v)
		}
	})
	return append(dst, '}')
}
