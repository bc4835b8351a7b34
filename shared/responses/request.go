package responses

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"antwort/shared/jsontext"

	"github.com/valyala/fastjson"
)

// A Request is the body of POST /v1/responses with its own fields checked; the
// items of Input and the entries of Tools are not looked at yet. Fields that
// are absent or null are nil or zero. It lives as long as the parser's value.
type Request struct {
	Model  string
	Input  *fastjson.Value // to be a string or an array; not decoded, so not checked
	Stream bool
	// Background says that nobody waits for the answer.
	Background bool

	Instructions      *fastjson.Value // to be a string; not decoded, so not checked
	MaxOutputTokens   *fastjson.Value
	MaxToolCalls      *fastjson.Value
	Temperature       *fastjson.Value
	TopP              *fastjson.Value
	PresencePenalty   *fastjson.Value
	FrequencyPenalty  *fastjson.Value
	TopLogprobs       int
	ParallelToolCalls *fastjson.Value
	TruncationAuto    bool
	Logprobs          bool // logprobs were asked for, by include or by top_logprobs

	Tools      []*fastjson.Value
	ToolChoice *fastjson.Value

	Format    Format
	Verbosity string
	Text      []Member // members of text that are not known

	ReasoningSet     bool
	ReasoningEffort  string
	ReasoningSummary string
	ReasoningCopy    bool     // include asks for reasoning.encrypted_content
	Reasoning        []Member // its other members

	StreamOptions []Member // members of stream_options that are not known

	ServiceTier      string
	SafetyIdentifier *fastjson.Value
	PromptCacheKey   *fastjson.Value
	User             *fastjson.Value
	Metadata         *fastjson.Object

	Previous string // the response that the request continues; empty for none

	Converses    bool   // the request names a conversation
	Conversation string // the one that the response is for, says whoever keeps it; empty for none
	Stored       bool   // the answer will be stored, says whoever does it: no field says so by itself

	IncludesLogprobs, IncludesCopy int // which entries of include, from 1, ask for logprobs and for copies of thoughts; 0: none does

	Extra []Member // fields to be passed on as they are, in the request's order

	seen          map[string]struct{} // names of Extra, to find duplicates
	set           uint64              // bits of the known fields that came
	refuseUnknown bool
}

// A Format is text.format.
type Format struct {
	Type        string // "text", "json_object" or "json_schema"
	Name        string
	Description *fastjson.Value // nil when absent
	Schema      *fastjson.Value
	Strict      *fastjson.Value // a boolean; nil when absent
	Extra       []Member        // members that are not known
}

// A Member is one field of an object.
type Member struct {
	Key   string
	Value *fastjson.Value
}

// Check reports whether body is JSON within the limits.
func Check(body []byte, lim Limits) *Error {
	_, err := Count(body, lim)
	return err
}

// CheckRest is Check for a body of which a jsontext.Checker has passed the first bytes, this many.
func CheckRest(body []byte, passed int, lim Limits) *Error {
	if err := jsontext.CheckRest(body, passed, lim.Text()); err != nil {
		return wrongText(err)
	}
	return nil
}

// Count is Check, and returns how many values the body has.
func Count(body []byte, lim Limits) (values int, problem *Error) {
	values, err := jsontext.Count(body, lim.Text())
	if err == nil {
		return values, nil
	}
	return 0, wrongText(err)
}

func wrongText(err error) *Error {
	if syntax, ok := errors.AsType[*jsontext.SyntaxError](err); ok && syntax.Limit {
		return NewError(400, "limit_exceeded", "the request body is over a limit: "+err.Error())
	}
	return NewError(400, "invalid_json", "the request body is not valid JSON: "+err.Error())
}

// Parse makes r the request that its JSON says, which Check has passed. What is
// out of the contract is refused with the field's path. refuseUnknown refuses
// the fields, and members of objects, that would otherwise be passed on or
// echoed without being known.
func (r *Request) Parse(v *fastjson.Value, lim Limits, refuseUnknown bool) *Error {
	o := v.GetObject()
	if o == nil {
		return NewError(400, "invalid_json", "the request body must be a JSON object")
	}
	extra := r.Extra[:0]
	*r = Request{}
	r.Format.Type, r.Extra, r.refuseUnknown = "text", extra, refuseUnknown
	var err *Error
	o.Visit(func(key []byte, v *fastjson.Value) {
		if err == nil {
			err = r.field(key, v)
		}
	})
	if err != nil {
		return err
	}
	if r.Input == nil {
		return invalidCode("input", "missing_required_parameter", "is required: a string or an array of items")
	}
	if n := len(r.Input.GetArray()); lim.Items > 0 && n > lim.Items {
		return invalidCode("input", "limit_exceeded", "has "+strconv.Itoa(n)+" items, the limit is "+strconv.Itoa(lim.Items))
	}
	if n := len(r.Tools); lim.Tools > 0 && n > lim.Tools {
		return invalidCode("tools", "limit_exceeded", "has "+strconv.Itoa(n)+" tools, the limit is "+strconv.Itoa(lim.Tools))
	}
	return nil
}

// mostUnknown is how many fields that are not known a request may have: each is kept with
// its name.
const mostUnknown = 1000

func (r *Request) field(key []byte, v *fastjson.Value) *Error {
	i, known := fieldIndex[string(key)]
	if known {
		if r.set&(1<<i) != 0 {
			return duplicate(key)
		}
		r.set |= 1 << i
		if jsontext.IsNull(v) {
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
	if r.seen[name] = struct{}{}; len(r.seen) > mostUnknown {
		return invalidCode(name, "limit_exceeded", "is one of more than "+strconv.Itoa(mostUnknown)+" parameters that are not known")
	}
	why := whyRefused(name)
	switch {
	case why != "" && jsontext.IsNull(v), name == "n" && v.GetInt() == 1:
		return nil
	case why != "":
		return invalidCode(name, "unsupported_parameter", why)
	case r.refuseUnknown && !slices.Contains(vllmFields[:], name):
		return unknown(name)
	case strings.EqualFold(name, "model"):
		// Some backends do not mind the case, and what a caller may use must not
		// depend on who reads it.
		return invalidCode(name, "unknown_parameter", "unknown parameter, the name is written model")
	}
	r.Extra = append(r.Extra, Member{name, v})
	return nil
}

// unknownMember keeps a member of an object that is not known, or refuses it.
func (r *Request) unknownMember(to *[]Member, path, key string, v *fastjson.Value) *Error {
	if r.refuseUnknown {
		return unknown(Of(path, key))
	}
	*to = append(*to, Member{key, v})
	return nil
}

func duplicate(key []byte) *Error {
	return invalidCode(string(key), "duplicate_parameter", "is given more than once")
}

func unknown(param string) *Error {
	return invalidCode(param, "unknown_parameter", "unknown parameter")
}
