package responses

import (
	"bytes"
	"slices"

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
func (r *Resource) Answer(q *Request, tools []Tool, choice *ToolChoice, model, id string, createdAt int64) {
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

// Repeats returns how many bytes of its request the resource has.
func (r *Resource) Repeats() int { return len(r.echo) }

// Forget frees what the resource repeats of its request: it repeats an empty one.
func (r *Resource) Forget(model string) {
	r.echo = new(Request).appendEcho(nil, nil, &ToolChoice{}, model)
}

// outputMember begins the list of items in a resource.
const outputMember = `,"output":[`

// A State is what changes of a response resource.
type State struct {
	Status      string // "queued", "in_progress", "completed", "incomplete", "cancelled" or "failed"
	CompletedAt int64  // Unix seconds; shown when completed
	Reason      string // incomplete_details.reason
	Err         *Error // error
	Output      []byte // the items, rendered and separated by commas
	Apart       Pieces // or those that Append leaves out, in pieces
	Usage       *Usage // nil is null
}

// Usage counts tokens.
type Usage struct {
	Input, Output, Total, Cached, Reasoning int64
}

// Append appends the resource in the state s.
func (r *Resource) Append(dst []byte, s *State) []byte {
	dst = appendTexts(dst, `{"id":"resp_`, r.id)
	dst = appendInt(dst, `","object":"response","created_at":`, r.createdAt)
	dst = appendTexts(dst, `,"status":"`, s.Status, `"`)
	if s.Status == "completed" {
		dst = appendInt(dst, `,"completed_at":`, s.CompletedAt)
	} else {
		dst = appendTexts(dst, `,"completed_at":null`)
	}
	dst = appendTexts(dst, `,"error":`)
	dst = s.Err.AppendResponseError(dst)
	if s.Reason == "" {
		dst = appendTexts(dst, `,"incomplete_details":null`)
	} else {
		dst = appendString(dst, `,"incomplete_details":{"reason":`, s.Reason)
		dst = append(dst, '}')
	}
	dst = appendRaw(dst, outputMember, s.Output, "]")
	dst = appendRaw(dst, "", r.echo, `,"usage":`) // the last: those whom the answer passes look for it from the end
	dst = s.Usage.Append(dst)
	return append(dst, '}')
}

// AppendResponseError appends the resource's error member {"code","message"}.
func (e *Error) AppendResponseError(dst []byte) []byte {
	if e == nil {
		return append(dst, "null"...)
	}
	code := e.Code
	if code == "" {
		code = e.Type
	}
	dst = appendString(dst, `{"code":`, code)
	dst = appendString(dst, `,"message":`, e.Message)
	return append(dst, '}')
}

// Append appends the counts as an answer has them; null for none.
func (u *Usage) Append(dst []byte) []byte {
	if u == nil {
		return append(dst, "null"...)
	}
	dst = appendInt(dst, `{"input_tokens":`, u.Input)
	dst = appendInt(dst, `,"input_tokens_details":{"cached_tokens":`, u.Cached)
	dst = appendInt(dst, `,"cache_write_tokens":0},"output_tokens":`, u.Output)
	dst = appendInt(dst, `,"output_tokens_details":{"reasoning_tokens":`, u.Reasoning)
	dst = appendInt(dst, `},"total_tokens":`, u.Total)
	return append(dst, '}')
}

func (r *Request) appendEcho(dst []byte, tools []Tool, choice *ToolChoice, model string) []byte {
	dst = appendString(dst, `,"model":`, model)
	switch {
	case r.Background:
		dst = append(dst, `,"background":true,"store":true`...) // it is stored already
	case r.Stored:
		dst = append(dst, stored...)
	default:
		dst = append(dst, `,"background":false,"store":false`...)
	}
	dst = appendStringOrNull(dst, `,"previous_response_id":`, r.Previous)
	if r.Conversation != "" {
		dst = appendString(dst, `,"conversation":{"id":`, r.Conversation)
		dst = append(dst, '}')
	}
	dst = append(dst, `,"instructions":`...)
	dst = appendRawOrNull(dst, r.Instructions)
	if r.set&^notOptions == 0 {
		return append(dst, defaultOptions...)
	}
	return r.appendOptions(dst, tools, choice)
}

// notOptions are the fields that appendOptions does not show.
var notOptions = uint64(1)<<fieldIndex["model"] | 1<<fieldIndex["input"] | 1<<fieldIndex["instructions"] | 1<<fieldIndex["stream"] | 1<<fieldIndex["store"] |
	1<<fieldIndex["background"] | 1<<fieldIndex["client_metadata"] | 1<<fieldIndex["previous_response_id"] | 1<<fieldIndex["conversation"]

// defaultOptions are the options of a request that sets none, as most do.
var defaultOptions = (&Request{Format: Format{Type: "text"}}).appendOptions(nil, nil, &ToolChoice{Mode: "auto"})

func (r *Request) appendOptions(dst []byte, tools []Tool, choice *ToolChoice) []byte {
	dst = appendOr(dst, `,"max_output_tokens":`, r.MaxOutputTokens, "null")
	dst = appendOr(dst, `,"max_tool_calls":`, r.MaxToolCalls, "null")
	dst = appendOr(dst, `,"temperature":`, r.Temperature, "1")
	dst = appendOr(dst, `,"top_p":`, r.TopP, "1")
	dst = appendOr(dst, `,"presence_penalty":`, r.PresencePenalty, "0")
	dst = appendOr(dst, `,"frequency_penalty":`, r.FrequencyPenalty, "0")
	dst = appendInt(dst, `,"top_logprobs":`, int64(r.TopLogprobs))
	dst = appendOr(dst, `,"parallel_tool_calls":`, r.ParallelToolCalls, "true")
	dst = appendTexts(dst, `,"tools":[`)
	dst = appendTools(dst, tools)
	dst = appendTexts(dst, `],"tool_choice":`)
	dst = choice.appendEcho(dst)
	truncation := "disabled"
	if r.TruncationAuto {
		truncation = "auto"
	}
	dst = appendTexts(dst, `,"truncation":"`, truncation, `","text":{"format":`)
	dst = r.Format.appendEcho(dst)
	if r.Verbosity != "" {
		dst = appendString(dst, `,"verbosity":`, r.Verbosity)
	}
	dst = appendEchoed(dst, r.Text)
	if r.ReasoningSet {
		dst = appendStringOrNull(dst, `},"reasoning":{"effort":`, r.ReasoningEffort)
		dst = appendStringOrNull(dst, `,"summary":`, r.ReasoningSummary)
		dst = appendEchoed(dst, r.Reasoning)
		dst = append(dst, '}')
	} else {
		dst = appendTexts(dst, `},"reasoning":null`)
	}
	tier := r.ServiceTier
	if tier == "" {
		tier = "default"
	}
	dst = appendString(dst, `,"service_tier":`, tier)
	dst = appendOr(dst, `,"safety_identifier":`, r.SafetyIdentifier, "null")
	dst = appendOr(dst, `,"prompt_cache_key":`, r.PromptCacheKey, "null")
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
	dst = appendTexts(dst, `{"type":"`, f.Type, `"`)
	if f.Type == "json_schema" {
		dst = appendTexts(dst, `,"name":"`, f.Name)
		dst = appendOr(dst, `","description":`, f.Description, "null")
		dst = appendOr(dst, `,"schema":`, f.Schema, "null")
		dst = appendOr(dst, `,"strict":`, f.Strict, "false")
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
			dst = cause.AppendResponseError(dst)
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
