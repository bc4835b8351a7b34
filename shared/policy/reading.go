package policy

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
)

// A Reading is what a request's body says about where it may go. It refers to
// the body.
type Reading struct {
	Model string // "" when none is named

	object         []byte
	model          []byte // its value as text, at modelAt; nil: there is no such member
	modelAt        int
	cacheKey       []byte
	instructions   []byte
	past           []byte // items before those of the input; nil without any
	input          []byte
	output         [3][]byte // how many tokens the answer may have, by each of its names
	changesBackend bool
}

// Read reads the body of a request that may be forwarded as it is. Whoever reads
// it next must find the same model in it: what parsers read in different ways is
// refused.
func Read(body []byte, lim responses.Limits) (*Reading, *responses.Error) {
	if err := responses.Check(body, lim); err != nil {
		return nil, err
	}
	return ReadChecked(body)
}

// ReadChecked is Read for a body that responses.Check has passed.
func ReadChecked(body []byte) (*Reading, *responses.Error) {
	if i := skipSpace(body); i == len(body) || body[i] != '{' {
		return nil, responses.NewError(400, "invalid_json", "the request body must be a JSON object")
	}
	r := &Reading{object: body}
	var err *responses.Error
	jsontext.Members(body, func(name, value []byte, at int) bool {
		err = r.member(name, value, at)
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	if r.model == nil || string(r.model) == "null" {
		return r, nil
	}
	text, isText := jsontext.Text(r.model)
	if !isText {
		return nil, refuseModel("model", "invalid_type", "must be a string")
	}
	if r.Model, err = modelName(text); err != nil {
		return nil, err
	}
	return r, nil
}

// modelName is what an escaped text means, if a model may be called so.
func modelName(text []byte) (string, *responses.Error) {
	const longestCharacter = 12 // bytes, as it may be escaped
	if len(text) <= longestCharacter*responses.MaxModel {
		if name := jsontext.Decode(nil, text); utf8.RuneCount(name) <= responses.MaxModel {
			return string(name), nil
		}
	}
	return "", refuseModel("model", "string_above_max_length", "is longer than "+strconv.Itoa(responses.MaxModel)+" characters")
}

func (r *Reading) member(name, value []byte, at int) *responses.Error {
	var room nameRoom
	decoded := room.meaning(name)
	switch string(decoded) {
	case "model":
		if r.model != nil {
			return refuseModel("model", "duplicate_parameter", "is given more than once")
		}
		r.model, r.modelAt = value, at
	case "prompt_cache_key":
		r.cacheKey = value
	case "instructions":
		r.instructions = value
	case "input":
		r.input = value
	case "max_output_tokens":
		r.output[0] = value
	case "max_completion_tokens":
		r.output[1] = value
	case "max_tokens":
		r.output[2] = value
	case "background":
		r.changesBackend = r.changesBackend || string(value) == "true"
	case "conversation":
		r.changesBackend = r.changesBackend || string(value) != "null"
	default:
		if strings.EqualFold(string(decoded), "model") {
			return refuseModel(string(decoded), "unknown_parameter", "unknown parameter, the name is written model")
		}
	}
	return nil
}

// nameRoom is where the name of a member is decoded.
type nameRoom [64]byte

// meaning is what a member's name means; "" of one that is longer than any of those here.
func (r *nameRoom) meaning(name []byte) []byte {
	if len(name) > 6*len(r) { // each byte may be escaped
		return nil
	}
	for _, c := range name {
		if c == '\\' {
			return jsontext.Decode(r[:0], name)
		}
	}
	return name
}

func skipSpace(b []byte) int {
	i := 0
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// Repeatable reports whether the request may be sent to another backend after
// one has broken off without an answer: it begins nothing there that goes on by
// itself (background) and changes nothing that stays (conversation).
func (r *Reading) Repeatable() bool { return !r.changesBackend }

// MaxOutput is how many tokens the answer may have, 0 where the request does not say, or
// was not read.
func (r *Reading) MaxOutput() int64 {
	if r == nil {
		return 0
	}
	return max(tokens(r.output[0]), tokens(r.output[1]), tokens(r.output[2]))
}

// mostOutput is the most that is understood of a bound for an answer, as where requests are
// translated: larger ones mean the same to every model, and must not overflow a sum.
const mostOutput = 1<<31 - 1

// tokens reads how many tokens an answer may have as model servers do, some of which take
// 1e3 and "1000" too; 0 where it is no number, or none that is positive.
func tokens(value []byte) int64 {
	if text, ok := jsontext.Text(value); ok {
		value = text
	}
	n, _ := strconv.ParseFloat(string(value), 64) // what is too large is infinite
	if n <= 0 || math.IsNaN(n) {
		return 0
	}
	return int64(min(n, mostOutput))
}

// AppendRenamed appends the body with another model; nothing else of it is
// changed.
func (r *Reading) AppendRenamed(dst []byte, model string) []byte {
	if r.model != nil {
		dst = append(dst, r.object[:r.modelAt]...)
		dst = jsontext.AppendString(dst, model)
		return append(dst, r.object[r.modelAt+len(r.model):]...)
	}
	open := skipSpace(r.object) + 1
	rest := r.object[open:]
	dst = append(append(dst, r.object[:open]...), `"model":`...)
	dst = jsontext.AppendString(dst, model)
	if first := skipSpace(rest); rest[first] != '}' {
		dst = append(dst, ',')
	}
	return append(dst, rest...)
}

func refuseModel(param, code, message string) *responses.Error {
	e := responses.Invalid(param, message)
	e.Code = code
	return e
}
