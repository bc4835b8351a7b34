package responses

import (
	"errors"
	"strconv"
	"strings"

	"antwort/shared/jsontext"
)

// A Request is the body of POST /v1/responses with its own fields checked; the
// items of Input and the entries of Tools are not looked at yet. Fields that
// are absent or null are absent or zero. It lives as long as the document.
type Request struct {
	Model  string
	Input  jsontext.Value // to be a string or an array; not checked
	Stream bool

	Instructions      jsontext.Value // to be a string; not checked
	MaxOutputTokens   jsontext.Value
	MaxToolCalls      jsontext.Value
	Temperature       jsontext.Value
	TopP              jsontext.Value
	PresencePenalty   jsontext.Value
	FrequencyPenalty  jsontext.Value
	TopLogprobs       int
	ParallelToolCalls jsontext.Value
	TruncationAuto    bool
	Logprobs          bool // logprobs were asked for, by include or by top_logprobs

	Tools      jsontext.Value // an array
	ToolChoice jsontext.Value

	Format    Format
	Verbosity string

	ReasoningSet     bool
	ReasoningEffort  string
	ReasoningSummary string

	ServiceTier      string
	SafetyIdentifier jsontext.Value
	PromptCacheKey   jsontext.Value
	User             jsontext.Value
	Metadata         jsontext.Value // an object

	Extra []Member // fields to be passed on as they are, in the request's order

	seen map[string]struct{} // names of Extra, to find duplicates
	set  uint64              // bits of the known fields that came
}

// A Format is text.format.
type Format struct {
	Type        string // "text", "json_object" or "json_schema"
	Name        string
	Description jsontext.Value // absent without one
	Schema      jsontext.Value
	Strict      jsontext.Value // a boolean; absent without one
}

// A Member is one field of an object.
type Member struct {
	Key   string
	Value jsontext.Value
}

// Check reports whether body is JSON within the limits.
func Check(body []byte, lim Limits) *Error {
	return notJSON(jsontext.Check(body, lim.json()))
}

// ParseJSON parses body as JSON within the limits; Check has the same errors.
func ParseJSON(d *jsontext.Document, body []byte, lim Limits) (jsontext.Value, *Error) {
	v, err := d.Parse(body, lim.json())
	return v, notJSON(err)
}

func notJSON(err error) *Error {
	if err == nil {
		return nil
	}
	var syntax *jsontext.SyntaxError
	if errors.As(err, &syntax) && syntax.Limit {
		return NewError(400, "limit_exceeded", "the request body is over a limit: "+err.Error())
	}
	return NewError(400, "invalid_json", "the request body is not valid JSON: "+err.Error())
}

// Parse makes r the request that its JSON says, which Check has passed. What is
// out of the contract is refused with the field's path. refuseUnknown refuses
// the fields that would otherwise be passed on without being known.
func (r *Request) Parse(v jsontext.Value, lim Limits, refuseUnknown bool) *Error {
	if v.Kind() != jsontext.Object {
		return NewError(400, "invalid_json", "the request body must be a JSON object")
	}
	*r = Request{Format: Format{Type: "text"}, Extra: r.Extra[:0]}
	for m := v.First(); m.Exists(); m = m.Next() {
		if err := r.field(m.Key(), m, refuseUnknown); err != nil {
			return err
		}
	}
	if !r.Input.Exists() {
		return invalidCode("input", "missing_required_parameter", "is required: a string or an array of items")
	}
	if n := r.Input.As(jsontext.Array).Len(); lim.Items > 0 && n > lim.Items {
		return invalidCode("input", "limit_exceeded", "has "+strconv.Itoa(n)+" items, the limit is "+strconv.Itoa(lim.Items))
	}
	if n := r.Tools.Len(); lim.Tools > 0 && n > lim.Tools {
		return invalidCode("tools", "limit_exceeded", "has "+strconv.Itoa(n)+" tools, the limit is "+strconv.Itoa(lim.Tools))
	}
	return nil
}

func (r *Request) field(key []byte, v jsontext.Value, refuseUnknown bool) *Error {
	i, known := fieldIndex[string(key)]
	if known {
		if r.set&(1<<i) != 0 {
			return duplicate(key)
		}
		r.set |= 1 << i
		if v.IsNull() {
			return nil
		}
		return fields[i].read(r, v, fields[i].name)
	}
	name := string(key)
	if _, twice := r.seen[name]; twice {
		return duplicate(key)
	}
	if r.seen == nil {
		r.seen = make(map[string]struct{})
	}
	r.seen[name] = struct{}{}
	why, refused := refusedFields[name]
	_, vllm := vllmFields[name]
	switch {
	case refused && v.IsNull(), name == "n" && isOne(v):
		return nil
	case refused:
		return invalidCode(name, "unsupported_parameter", why)
	case refuseUnknown && !vllm:
		return unknown(name)
	case strings.EqualFold(name, "model"):
		// Some backends do not mind the case, and what a caller may use must not
		// depend on who reads it.
		return invalidCode(name, "unknown_parameter", "unknown parameter, the name is written model")
	}
	r.Extra = append(r.Extra, Member{name, v})
	return nil
}

func isOne(v jsontext.Value) bool {
	n, ok := v.Int()
	return ok && n == 1
}

func duplicate(key []byte) *Error {
	return invalidCode(string(key), "duplicate_parameter", "is given more than once")
}

func unknown(param string) *Error {
	return invalidCode(param, "unknown_parameter", "unknown parameter")
}
