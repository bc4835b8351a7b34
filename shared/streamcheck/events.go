package streamcheck

import (
	"strings"

	"github.com/valyala/fastjson"
)

// A kind is the JSON type of a member.
type kind string

const (
	aString kind = "a string"
	anInt   kind = "an integer"
	aObject kind = "an object"
	aArray  kind = "an array"
)

type member struct {
	name string
	kind kind
}

var (
	ofResponse = []member{{"response", aObject}}
	ofItem     = []member{{"output_index", anInt}, {"item", aObject}}
	inItem     = []member{{"output_index", anInt}, {"item_id", aString}}
	inContent  = append(inItem[:2:2], member{"content_index", anInt})
	inSummary  = append(inItem[:2:2], member{"summary_index", anInt})
)

func with(members []member, name string, k kind) []member {
	return append(members[:len(members):len(members)], member{name, k})
}

// knownEvents are the events that clients know, with their members beside type
// and sequence_number. The name stands without "response.".
var knownEvents = map[string][]member{
	"created":     ofResponse,
	"queued":      ofResponse,
	"in_progress": ofResponse,
	"completed":   ofResponse,
	"incomplete":  ofResponse,
	"failed":      ofResponse,

	"output_item.added":             ofItem,
	"output_item.done":              ofItem,
	"content_part.added":            with(inContent, "part", aObject),
	"content_part.done":             with(inContent, "part", aObject),
	"output_text.delta":             with(with(inContent, "delta", aString), "logprobs", aArray),
	"output_text.done":              with(with(inContent, "text", aString), "logprobs", aArray),
	"output_text.annotation.added":  with(with(inContent, "annotation_index", anInt), "annotation", aObject),
	"refusal.delta":                 with(inContent, "delta", aString),
	"refusal.done":                  with(inContent, "refusal", aString),
	"reasoning_text.delta":          with(inContent, "delta", aString),
	"reasoning_text.done":           with(inContent, "text", aString),
	"reasoning.delta":               with(inContent, "delta", aString),
	"reasoning.done":                with(inContent, "text", aString),
	"reasoning_summary_part.added":  with(inSummary, "part", aObject),
	"reasoning_summary_part.done":   with(inSummary, "part", aObject),
	"reasoning_summary_text.delta":  with(inSummary, "delta", aString),
	"reasoning_summary_text.done":   with(inSummary, "text", aString),
	"function_call_arguments.delta": with(inItem, "delta", aString),
	"function_call_arguments.done":  with(inItem, "arguments", aString),
	"custom_tool_call_input.delta":  with(inItem, "delta", aString),
	"custom_tool_call_input.done":   with(inItem, "input", aString),
	"compaction.compacting":         inItem,
}

// known checks an event that is a JSON object.
func (c *Checker) known(name string, v *fastjson.Value, data []byte) {
	if c.counts == nil {
		c.counts = make(map[string]int)
	}
	c.counts[name]++
	c.sequenceNumber(v)
	if name == "error" {
		c.errorEvent(v)
		return
	}
	short, prefixed := strings.CutPrefix(name, "response.")
	members, ok := knownEvents[short]
	if !prefixed || !ok {
		c.fail("known-event", "expected an event of the Responses API, got %q", name)
		return
	}
	if short != "failed" {
		c.afterError(name)
	}
	if !c.members(name, v, members) {
		return
	}
	c.vocabulary(short)
	if short == "created" || short == "queued" || short == "in_progress" || short == "completed" || short == "incomplete" || short == "failed" {
		c.lifecycle(short, v.Get("response"), rawMember(data, "response"))
		return
	}
	if c.phase != running {
		c.fail("order", "%s", unexpected(c.phase, name))
		if c.phase == ended {
			return
		}
		c.phase = running
	}
	switch short {
	case "output_item.added":
		c.itemAdded(v)
	case "output_item.done":
		c.itemDone(v, rawMember(data, "item"))
	default:
		c.inItem(short, v)
	}
}

func unexpected(p phase, name string) string {
	switch p {
	case beforeCreated:
		return "expected response.created first, got " + name
	case beforeInProgress:
		return "expected response.in_progress second, got " + name
	default:
		return "expected data: [DONE] after the terminal event, got " + name
	}
}

// sequenceNumber checks the sequence number. After a wrong one it counts on from it,
// so that one gap is one problem.
func (c *Checker) sequenceNumber(v *fastjson.Value) {
	got := v.Get("sequence_number")
	if !anInt.is(got) {
		c.fail("sequence", "expected sequence_number %d, got %s", c.sequence, show(got))
		c.sequence++
		return
	}
	n := got.GetInt()
	if n != c.sequence {
		c.fail("sequence", "expected sequence_number %d, got %d", c.sequence, n)
	}
	c.sequence = n + 1
}

// members checks the members of an event. It is false when one is wrong without
// which nothing more can be said of the event.
func (c *Checker) members(name string, v *fastjson.Value, members []member) bool {
	ok := true
	for _, m := range members {
		if got := v.Get(m.name); !m.kind.is(got) {
			c.fail("member", "%s: expected %s to be %s, got %s", name, m.name, m.kind, show(got))
			ok = ok && (m.kind == anInt || m.kind == aArray)
		}
	}
	return ok
}

func (k kind) is(v *fastjson.Value) bool {
	if v == nil {
		return false
	}
	switch k {
	case aString:
		return v.Type() == fastjson.TypeString
	case anInt:
		_, err := v.Int()
		return err == nil
	case aObject:
		return v.Type() == fastjson.TypeObject
	default:
		return v.Type() == fastjson.TypeArray
	}
}

// vocabulary checks that a stream stays with one name of reasoning deltas.
func (c *Checker) vocabulary(short string) {
	prefix, _, _ := strings.Cut(short, ".")
	if prefix != "reasoning" && prefix != "reasoning_text" {
		return
	}
	if c.reason == "" {
		c.reason = prefix
	}
	if c.reason != prefix {
		c.fail("vocabulary", "expected response.%s.* as before, got response.%s", c.reason, short)
		c.reason = prefix
	}
}

// errorEvent checks {"type":"error",code,message,param,"error":{…}}.
func (c *Checker) errorEvent(v *fastjson.Value) {
	c.afterError("error")
	if c.phase >= ended {
		c.fail("order", "%s", unexpected(c.phase, "error"))
	}
	for _, e := range []struct {
		at string
		v  *fastjson.Value
	}{{"the event", v}, {"its error", v.Get("error")}} {
		if e.v == nil || e.v.Type() != fastjson.TypeObject {
			c.fail("error-event", "expected the member error to be an object, got %s", show(e.v))
			continue
		}
		if !aString.is(e.v.Get("message")) {
			c.fail("error-event", "expected %s to have a message, got %s", e.at, show(e.v.Get("message")))
		}
		for _, key := range []string{"code", "param"} {
			if got := e.v.Get(key); got == nil || !aString.is(got) && got.Type() != fastjson.TypeNull {
				c.fail("error-event", "expected %s to have %s, a string or null, got %s", e.at, key, show(got))
			}
		}
	}
	if e := v.Get("error"); e != nil && !aString.is(e.Get("type")) {
		c.fail("error-event", "expected its error to have a type, got %s", show(e.Get("type")))
	}
	c.wasError = true
}

func (c *Checker) afterError(name string) {
	if c.wasError {
		c.fail("error-event", "expected response.failed after the error event, got %s", name)
	}
	c.wasError = false
}

// show prints a value, shortened; nil is absent.
func show(v *fastjson.Value) string {
	if v == nil {
		return "nothing"
	}
	s := v.String()
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}
