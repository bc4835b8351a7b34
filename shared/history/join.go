package history

import (
	"bytes"
	"slices"
	"strconv"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
)

// A Turn is a response that is continued: what was kept of its input, and the items
// of its answer, both as JSON arrays.
type Turn struct{ Input, Output []byte }

// Rules are what else a conversation must keep to.
type Rules struct {
	Items int    // it has at most so many; 0: any number
	Fill  bool   // calls without an output get an empty one, instead of being refused
	Open  bool   // calls without an output stay as they are: nobody is asked to go on
	Field string // of the request that names the conversation; "": previous_response_id
}

// Join appends the items of the turns, the oldest first, as one JSON array: what
// stands before the items of the input, which are as Keep made them. Calls and
// thoughts that broke off are left out, and all that stands before a compaction.
// Refused is what the model could not read: outputs without their call, calls without
// their output, and an item that comes twice. compacted says that a compaction is among
// them.
func (r Rules) Join(dst []byte, turns []Turn, input []byte) (joined []byte, compacted bool, err *responses.Error) {
	j := join{rules: r, dst: append(dst, '['), start: len(dst) + 1, seen: ids{}, calls: map[string]*call{}}
	for i := range turns {
		jsontext.Elements(turns[i].Input, func(raw []byte) bool {
			return j.past(look(raw))
		})
		jsontext.Elements(turns[i].Output, func(raw []byte) bool {
			it := look(raw)
			return it.brokeOff() || j.past(it)
		})
	}
	i := 0
	jsontext.Elements(input, func(raw []byte) bool {
		j.next(look(raw), i)
		i++
		return j.err == nil
	})
	if j.err == nil {
		j.pair()
	}
	if j.err == nil && r.Items > 0 && j.items > r.Items {
		j.err = TooLong(r.field(), "has "+strconv.Itoa(j.items)+" items, the limit is "+strconv.Itoa(r.Items))
	}
	if j.err != nil {
		return dst, false, j.err
	}
	return append(j.dst, ']'), j.compacted, nil
}

func (r *Rules) field() string {
	if r.Field != "" {
		return r.Field
	}
	return Previous
}

// The fields of a request that name what it goes on from.
const (
	Previous     = "previous_response_id"
	Conversation = "conversation"
)

// TooLong refuses a conversation that is over a limit; field is that of the request
// which names it, and which says over which.
func TooLong(field, which string) *responses.Error {
	return invalid(field, "context_too_long", "the conversation "+which+": compact it, or start anew")
}

type join struct {
	rules Rules
	dst   []byte
	start int // where the first item begins in dst
	items int
	seen  ids
	calls map[string]*call
	order []*call // those of calls, as they came
	err   *responses.Error

	compacted bool
}

// call is a call, and all of the same call_id.
type call struct {
	item      // the last
	waiting   int
	compacted bool // it is in the memory of a compaction, and may have an output or not
}

// brokeOff reports whether an item of an answer must not be acted on.
func (it *item) brokeOff() bool {
	return it.status != "" && it.status != "completed" && (it.isCall() || it.typ == "reasoning")
}

// past takes an item of the turns before.
func (j *join) past(it item) bool {
	if it.typ == "compaction" { // stands for all before, and has the calls without an output in it
		j.dst, j.items, j.compacted = j.dst[:j.start], 0, true
		clear(j.seen)
		j.order = slices.DeleteFunc(j.order, func(c *call) bool {
			if c.waiting <= 0 {
				delete(j.calls, string(c.key()))
			}
			c.compacted = true
			return c.waiting <= 0
		})
	}
	j.add(it.raw)
	j.note(&it)
	return true
}

func (j *join) add(raw []byte) {
	if len(j.dst) > j.start {
		j.dst = append(j.dst, ',')
	}
	j.dst = append(j.dst, raw...)
	j.items++
}

// next takes an item of the input.
func (j *join) next(it item, index int) {
	j.items++
	if !j.note(&it) {
		j.err = invalid(responses.At("input", index), "duplicate_item",
			"Duplicate item found with id "+string(it.id)+". Remove duplicate items from your input and try again: the conversation of "+j.rules.field()+" has it already.")
	}
}

// note keeps in mind what must come once, or in pairs. It is false for an item that
// has come before.
func (j *join) note(it *item) bool {
	if key := it.key(); key != nil && (it.isCall() || it.isOutput()) { // without one, translation refuses it
		c := j.calls[string(key)]
		if c == nil {
			c = &call{item: *it}
			j.calls[string(key)] = c
			j.order = append(j.order, c)
		}
		if it.isCall() {
			c.waiting++
		} else {
			c.waiting--
		}
		if c.waiting > 0 == it.isCall() {
			c.item = *it
		}
	}
	return it.id == nil || it.isKeyed() || j.seen.add(it.id)
}

// pair looks for calls and outputs that are alone.
func (j *join) pair() {
	for _, c := range j.order {
		if c.waiting < 0 {
			j.err = invalid("input", "", "No tool call found for "+c.words()+" with call_id "+clip(c.key())+".")
			return
		}
	}
	for _, c := range j.order {
		if c.waiting > 0 && (j.rules.Open || c.compacted) {
			continue
		}
		if c.waiting > 0 && !j.rules.Fill {
			j.err = invalid("input", "", "No tool output found for "+c.words()+" "+clip(c.key())+".")
			return
		}
		for range c.waiting {
			j.add(c.noOutput())
		}
	}
}

// noOutput is the output of a call that nobody has carried out.
func (c *call) noOutput() []byte {
	b := append([]byte(`{"type":"`), c.outputType()...)
	b = append(b, `","call_id":`...)
	b = jsontext.AppendString(b, c.key())
	switch c.typ {
	case "tool_search_call":
		return append(b, `,"execution":"client","tools":[]}`...)
	case "apply_patch_call":
		b = append(b, `,"status":"failed"`...)
	}
	return append(b, `,"output":"(no output)"}`...)
}

func (c *call) outputType() string {
	if c.typ == "tool_search_call" {
		return "tool_search_output"
	}
	return c.typ + "_output"
}

// clip shortens what a client called something, for messages.
func clip(id []byte) string {
	return string(bytes.ToValidUTF8(id[:min(len(id), 64)], nil))
}
