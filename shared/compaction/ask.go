package compaction

import (
	"bytes"
	"strconv"
	"strings"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
)

// An Ask is what a request says of compactions.
type Ask struct {
	Triggers  bool  // its answer is to be one
	Threshold int64 // in tokens: over it the answer begins with one; 0: no matter how long it is

	body    []byte
	input   []byte // as it stands in the body, at inputAt; nil without one
	inputAt int
	items   [][]byte
	last    int    // the last compaction among items; -1: there is none
	managed [2]int // where context_management stands in the body, with its comma
}

// Concerns reports, for little, whether a text may say anything of compactions. It goes from
// quote to quote, of which a request may have only so many: bytes.Contains is slow where there
// are many of what it looks for first.
func Concerns(text []byte) bool {
	for {
		quote := bytes.IndexByte(text, '"')
		if quote < 0 {
			return false
		}
		text = text[quote+1:]
		if bytes.HasPrefix(text, []byte("compaction")) || bytes.HasPrefix(text, []byte(`context_management"`)) {
			return true
		}
	}
}

// Complete completes the body of POST /v1/responses/compact, which has been checked: the
// input may be left out, the model may not.
func Complete(body []byte) ([]byte, *responses.Error) {
	var hasInput, hasModel, empty = false, false, true
	jsontext.Members(body, func(name, value []byte, _ int) bool {
		empty = false
		switch string(name) {
		case "input":
			hasInput = string(value) != "null"
		case "model":
			hasModel = string(value) != "null"
		}
		return true
	})
	if !hasModel {
		return body, invalid("model", "missing_required_parameter", "is required")
	}
	if hasInput || empty {
		return body, nil
	}
	end := bytes.LastIndexByte(body, '}')
	return text(body[:end:end], `,"input":[]}`), nil
}

// NothingToSumUp refuses to compact a conversation that is none.
func NothingToSumUp() *responses.Error {
	return invalid("input", "invalid_value", "has nothing that could be summed up")
}

// ReadAsk reads what the body of a request says of compactions.
func ReadAsk(body []byte) (a Ask, err *responses.Error) {
	a.body, a.last = body, -1
	end := 0 // of the member before
	jsontext.Members(body, func(name, value []byte, at int) bool {
		switch string(meaning(name)) {
		case "context_management":
			a.Threshold, err = threshold(value)
			a.managed = [2]int{end, at + len(value)}
		case "input":
			a.input, a.inputAt = value, at
		}
		end = at + len(value)
		return err == nil
	})
	if err != nil {
		return a, err
	}
	a.items = elements(a.input)
	for i, raw := range a.items {
		switch look(raw).typ {
		case Type:
			a.last = i
		case Trigger:
			if i < len(a.items)-1 {
				return a, invalid(responses.At("input", i), "invalid_value", "must be the last item of the input")
			}
			a.Triggers = true
		}
	}
	if a.Triggers {
		a.items = a.items[:len(a.items)-1]
	}
	return a, nil
}

// threshold reads context_management: a list of one entry.
func threshold(value []byte) (tokens int64, err *responses.Error) {
	const path = "context_management"
	switch entries := elements(value); {
	case string(value) == "null":
		return 0, nil
	case value[0] != '[':
		return 0, invalid(path, "invalid_type", "must be an array")
	case len(entries) == 0:
		return 0, nil
	case len(entries) > 1:
		return 0, invalid(path, "invalid_value", "has more than one entry")
	default:
		value = entries[0]
	}
	var typ, said []byte
	jsontext.Members(value, func(name, value []byte, _ int) bool {
		switch string(name) {
		case "type":
			typ = value
		case "compact_threshold":
			said = value
		default:
			err = invalid(path+"[0]."+string(name[:min(len(name), 64)]), "unknown_parameter", "unknown parameter")
		}
		return err == nil
	})
	if err == nil && string(typ) != `"compaction"` {
		err = invalid(path+"[0].type", "invalid_value", "the only one is compaction")
	}
	if err == nil {
		var wrong error
		if tokens, wrong = strconv.ParseInt(string(said), 10, 64); wrong != nil || tokens < 1 {
			err = invalid(path+"[0].compact_threshold", "invalid_value", "must be a number of tokens, at least 1")
		}
	}
	return tokens, err
}

// Items returns how many items the input has, without the one that asks for a compaction.
func (a *Ask) Items() int { return len(a.items) }

// Input is the request's input as it came.
func (a *Ask) Input() []byte { return a.input }

// Body is the request as it came.
func (a *Ask) Body() []byte { return a.body }

// An Expansion is a request with what compactions stand for in their place.
type Expansion struct {
	Body, Past []byte
	Memory     Memory // of the last compaction, if there is one
	path       int    // of the compaction in the input, -1 without one
	items      int    // that stand for it
}

// Expands reports whether there is a compaction in the input.
func (x *Expansion) Expands() bool { return x.path >= 0 }

// Expand puts what the last compaction stands for in its place, and takes what stands before
// away: in the input, or in past, a JSON array that a store has put before it. Refused
// is what open does not open; field names the past.
func (a *Ask) Expand(past []byte, field string, open func(sealed []byte) ([]byte, bool)) (x Expansion, err *responses.Error) {
	x = Expansion{Past: past, path: -1}
	items := a.items
	if a.last >= 0 { // it stands for those before it too
		it := look(a.items[a.last])
		if x.Memory, err = memoryIn(&it, responses.At("input", a.last), open); err != nil {
			return x, err
		}
		after := a.items[a.last+1:]
		items = x.Memory.Items(after)
		x.Past, x.path, x.items = nil, a.last, len(items)
		for _, raw := range after {
			items = with(items, raw)
		}
	} else if err = a.expandPast(&x, field, open); err != nil {
		return x, err
	}
	x.Body = a.appendBody(items, x.path >= 0 || a.Triggers)
	return x, nil
}

// expandPast is Expand for what a store has. History.Join leaves a compaction at its
// beginning only.
func (a *Ask) expandPast(x *Expansion, field string, open func([]byte) ([]byte, bool)) (err *responses.Error) {
	if !Concerns(x.Past) {
		return nil
	}
	items := elements(x.Past)
	for i := len(items) - 1; i >= 0; i-- {
		it := look(items[i])
		if it.typ != Type {
			continue
		}
		if x.Memory, err = memoryIn(&it, field, open); err != nil {
			return err
		}
		after := append(items[i+1:len(items):len(items)], a.items...)
		all := x.Memory.Items(after)
		for _, raw := range items[i+1:] {
			all = with(all, raw)
		}
		x.Past = appendRaw(nil, all)
		return nil
	}
	return nil
}

// memoryIn opens what is sealed in an item.
func memoryIn(it *item, path string, open func([]byte) ([]byte, bool)) (Memory, *responses.Error) {
	if it.isSealed {
		if plain, ok := open(it.sealed); ok {
			if m, ok := Read(plain); ok {
				return m, nil
			}
		}
	}
	return Memory{}, invalid(path, "invalid_encrypted_content", "the encrypted content of the compaction cannot be opened: it was changed, or sealed for somebody else or with a key that is not here any more")
}

func invalid(path, code, message string) *responses.Error {
	e := responses.Invalid(path, message)
	e.Code = code
	return e
}

// appendBody is the body without context_management, and with other items if these are
// not what it has.
func (a *Ask) appendBody(items [][]byte, others bool) []byte {
	body, shift := a.body, 0
	if a.managed[1] > 0 {
		from, to := a.managed[0], a.managed[1]
		if from == 0 { // it is the first member: the comma behind it goes
			from = bytes.IndexByte(body, '{') + 1
			if rest := bytes.TrimLeft(body[to:], " \t\r\n"); rest[0] == ',' {
				to = len(body) - len(rest) + 1
			}
		}
		if a.inputAt > to {
			shift = to - from
		}
		body = bytesOf(bytesOf(nil, body[:from]), body[to:])
	}
	if !others || a.input == nil {
		return body
	}
	at := a.inputAt - shift
	size := len(body) + len(items)
	for _, raw := range items {
		size += len(raw)
	}
	dst := bytesOf(jsontext.Grow(nil, size-len(a.input)+2), body[:at])
	return bytesOf(appendRaw(dst, items), body[at+len(a.input):])
}

// Replace is the request with one compaction item for its input, and nothing before it.
func (a *Ask) Replace(items [][]byte) []byte { return a.appendBody(items, true) }

// Restore makes an error about the expanded request one about the request that came.
func (x *Expansion) Restore(err *responses.Error) *responses.Error {
	rest, is := strings.CutPrefix(err.Param, "input[")
	number, rest, closed := strings.Cut(rest, "]")
	n, wrong := strconv.Atoi(number)
	if x.path < 0 || !is || !closed || wrong != nil {
		return err
	}
	if n -= x.items - 1 - x.path; n < x.path {
		n = x.path
	}
	param := responses.At("input", n) + rest
	err.Message, err.Param = strings.Replace(err.Message, err.Param, param, 1), param
	return err
}
