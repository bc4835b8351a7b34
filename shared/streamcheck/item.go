package streamcheck

import (
	"bytes"
	"strings"

	"github.com/valyala/fastjson"
)

// An item is the output item that is open: between output_item.added and
// output_item.done.
type item struct {
	index    int
	id, kind string
	text     strings.Builder   // arguments or input, from the deltas
	done     bool              // its arguments.done or input.done came
	fixed    map[string]string // name and call_id of a call
	content  parts
	summary  parts
}

// finished is an item whose output_item.done came.
type finished struct {
	raw    []byte
	status string
}

// callEvents are the items whose only text is one string member.
var callEvents = map[string]struct{ events, member string }{
	"function_call":    {"function_call_arguments", "arguments"},
	"custom_tool_call": {"custom_tool_call_input", "input"},
}

// mayLackStatus reports whether items of the kind may be without a status.
func (it *item) mayLackStatus() bool { return it.kind == "reasoning" || it.kind == "compaction" }

func (c *Checker) itemAdded(v *fastjson.Value) {
	if c.item != nil {
		c.fail("item", "expected output_item.done of item %d (%s) before the next is added", c.item.index, c.item.id)
	}
	in := v.Get("item")
	it := &item{index: v.GetInt("output_index"), id: string(in.GetStringBytes("id")), kind: string(in.GetStringBytes("type"))}
	c.item = it
	if it.index != len(c.items) {
		c.fail("index", "expected output_index %d, got %d", len(c.items), it.index)
	}
	if it.id == "" {
		c.fail("id", "expected item.id, got %s", show(in.Get("id")))
	} else if c.ids[it.id] {
		c.fail("id", "expected a new item.id, %q was used before", it.id)
	}
	if c.ids == nil {
		c.ids = make(map[string]bool)
	}
	c.ids[it.id] = true
	if it.kind == "" {
		c.fail("item", "expected item.type, got %s", show(in.Get("type")))
	}
	if status := string(in.GetStringBytes("status")); status != "in_progress" && (status != "" || !it.mayLackStatus()) {
		c.fail("status", "expected the added item to be in_progress, got %q", status)
	}
	for _, key := range []string{"content", "summary"} {
		if n := len(in.GetArray(key)); n > 0 {
			c.fail("item", "expected item.%s of the added item to be empty, got %d parts", key, n)
		}
	}
	if call, ok := callEvents[it.kind]; ok {
		it.fixed = make(map[string]string)
		for _, key := range []string{"name", "call_id"} {
			it.fixed[key] = string(in.GetStringBytes(key))
			if it.fixed[key] == "" {
				c.fail("item", "expected the added %s to have a %s, got %s", it.kind, key, show(in.Get(key)))
			}
		}
		if got := in.Get(call.member); !aString.is(got) || len(got.GetStringBytes()) > 0 {
			c.fail("item", "expected %s of the added %s to be \"\", got %s", call.member, it.kind, show(got))
		}
	}
}

func (c *Checker) itemDone(v *fastjson.Value, raw []byte) {
	in, it := v.Get("item"), c.item
	c.item = nil
	defer func() {
		c.items = append(c.items, finished{bytes.Clone(raw), string(in.GetStringBytes("status"))})
	}()
	if it == nil {
		c.fail("item", "expected output_item.added before output_item.done")
		return
	}
	if got := v.GetInt("output_index"); got != it.index {
		c.fail("index", "expected output_index %d, got %d", it.index, got)
	}
	if got := string(in.GetStringBytes("id")); got != it.id {
		c.fail("id", "expected item.id %q as added, got %q", it.id, got)
	}
	if got := string(in.GetStringBytes("type")); got != it.kind {
		c.fail("item", "expected item.type %q as added, got %q", it.kind, got)
	}
	status := string(in.GetStringBytes("status"))
	if status != "completed" && status != "incomplete" && (status != "" || !it.mayLackStatus()) {
		c.fail("status", "expected the done item to be completed or incomplete, got %q", status)
	}
	for key, before := range it.fixed {
		if got := string(in.GetStringBytes(key)); got != before {
			c.fail("id", "expected item.%s %q as added, got %q", key, before, got)
		}
	}
	if call, ok := callEvents[it.kind]; ok {
		if !it.done {
			c.fail("item", "expected response.%s.done before output_item.done", call.events)
		}
		if got := string(in.GetStringBytes(call.member)); got != it.text.String() {
			c.fail("text", "expected item.%s as in its deltas, %s, got %s", call.member, quoteText(it.text.String()), quoteText(got))
		}
	}
	if it.kind == "message" && in.Get("content") == nil {
		c.fail("item", "expected item.content of the done message, got nothing")
	}
	it.content.compare(c, "content", in.GetArray("content"))
	it.summary.compare(c, "summary", in.GetArray("summary"))
}

// inItem checks an event within an item.
func (c *Checker) inItem(short string, v *fastjson.Value) {
	it := c.item
	if it == nil {
		c.fail("item", "expected output_item.added before response.%s", short)
		return
	}
	if got := v.GetInt("output_index"); got != it.index {
		c.fail("index", "expected output_index %d of the open item, got %d", it.index, got)
	}
	if got := string(v.GetStringBytes("item_id")); got != it.id {
		c.fail("id", "expected item_id %q of the open item, got %q", it.id, got)
	}
	prefix, step, _ := strings.Cut(short, ".")
	switch {
	case prefix == "content_part":
		it.content.event(c, "content", step, v.GetInt("content_index"), v.Get("part"))
	case prefix == "reasoning_summary_part":
		it.summary.event(c, "summary", step, v.GetInt("summary_index"), v.Get("part"))
	case prefix == "reasoning_summary_text":
		it.summary.text(c, short, "summary_text", step, v.GetInt("summary_index"), v)
	case short == "output_text.annotation.added":
		it.content.at(c, short, "output_text", v.GetInt("content_index"))
	case prefix == "compaction":
		if it.kind != prefix {
			c.fail("item", "expected events of the open %s, got response.%s", it.kind, short)
		}
	case partOf[prefix] != "":
		it.content.text(c, short, partOf[prefix], step, v.GetInt("content_index"), v)
	default:
		it.callText(c, short, prefix, step, v)
	}
}

// callText checks the deltas and the done event of a call.
func (it *item) callText(c *Checker, short, prefix, step string, v *fastjson.Value) {
	call, ok := callEvents[it.kind]
	if !ok || call.events != prefix {
		c.fail("item", "expected events of the open %s, got response.%s", it.kind, short)
		return
	}
	if it.done {
		c.fail("item", "expected output_item.done after response.%s.done, got response.%s", prefix, short)
	}
	if step == "delta" {
		it.text.Write(c.delta(short, v))
		return
	}
	it.done = true
	if got := string(v.GetStringBytes(call.member)); got != it.text.String() {
		c.fail("text", "expected %s as in the deltas, %s, got %s", call.member, quoteText(it.text.String()), quoteText(got))
	}
}

// delta returns the text of a delta, which must not be empty.
func (c *Checker) delta(short string, v *fastjson.Value) []byte {
	d := v.GetStringBytes("delta")
	if len(d) == 0 {
		c.fail("delta", "expected text in response.%s, got an empty delta", short)
	}
	return d
}

func quoteText(s string) string { return quote([]byte(s)) }
