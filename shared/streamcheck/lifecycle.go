package streamcheck

import (
	"bytes"

	"github.com/valyala/fastjson"
)

// notNull and nullable are the 31 members of a response resource; state are
// those that change while it is made.
var (
	notNull = []string{"id", "object", "created_at", "status", "model", "output", "tools", "tool_choice", "truncation",
		"parallel_tool_calls", "text", "top_p", "presence_penalty", "frequency_penalty", "top_logprobs", "temperature",
		"store", "background", "service_tier", "metadata"}
	nullable = []string{"completed_at", "incomplete_details", "previous_response_id", "instructions", "error", "reasoning",
		"usage", "max_output_tokens", "max_tool_calls", "safety_identifier", "prompt_cache_key"}
	state = map[string]bool{"status": true, "output": true, "completed_at": true, "incomplete_details": true, "error": true, "usage": true}
)

// lifecycle checks an event that carries the response resource.
func (c *Checker) lifecycle(short string, r *fastjson.Value, raw []byte) {
	name := "response." + short
	switch {
	case short == "created" && c.phase == beforeCreated:
		c.phase = beforeInProgress
		c.queued = r.GetBool("background") && string(r.GetStringBytes("status")) == "queued"
	case short == "queued" && c.phase == beforeInProgress && c.queued: // of a response in the background
	case short == "in_progress" && c.phase == beforeInProgress:
		c.phase = running
	case isEnd(short) && c.phase == running,
		isEnd(short) && c.phase == beforeInProgress && c.queued, // it ended before it was begun
		short == "failed" && c.phase == beforeInProgress:        // a stream that was cut right after its first event
		c.phase = ended
	default:
		if c.phase == running {
			c.fail("order", "expected an item or a terminal event, got a second %s", name)
		} else {
			c.fail("order", "%s", unexpected(c.phase, name))
		}
		// what came counts, so that one fault is one problem
		c.phase = max(c.phase, map[string]phase{"created": beforeInProgress, "in_progress": running}[short])
		if isEnd(short) {
			c.phase = ended
		}
	}
	c.resource(name, r, raw)
	c.state(short, r, raw)
	c.wasError = false
}

// isEnd reports whether an event ends a response.
func isEnd(short string) bool {
	return short != "created" && short != "queued" && short != "in_progress"
}

// resource checks the members of a resource, and that what repeats the request
// is as in the first one.
func (c *Checker) resource(name string, r *fastjson.Value, raw []byte) {
	for _, key := range notNull {
		if v := r.Get(key); v == nil || v.Type() == fastjson.TypeNull {
			c.fail("resource", "%s: expected response.%s, not null, got %s", name, key, show(v))
		}
	}
	for _, key := range nullable {
		if r.Get(key) == nil {
			c.fail("resource", "%s: expected response.%s, null at least, got nothing", name, key)
		}
	}
	if o := string(r.GetStringBytes("object")); o != "response" {
		c.fail("resource", `%s: expected response.object "response", got %q`, name, o)
	}
	c.usage(name, r.Get("usage"))
	first := c.echo == nil
	if first {
		c.echo = make(map[string][]byte)
	}
	eachMember(raw, func(key string, value []byte) {
		if state[key] {
			return
		}
		if first {
			c.echo[key] = bytes.Clone(value)
			return
		}
		before, ok := c.echo[key]
		if key == "store" && string(before) == "true" && string(value) == "false" { // it could not be stored
			c.echo[key] = bytes.Clone(value)
			return
		}
		if !ok || !bytes.Equal(before, value) {
			c.fail("echo", "%s: expected response.%s as before, %s, got %s", name, key, quote(before), quote(value))
			c.echo[key] = bytes.Clone(value)
		}
	})
}

// usage checks the token counts, when there are any.
func (c *Checker) usage(name string, u *fastjson.Value) {
	if u == nil || u.Type() == fastjson.TypeNull {
		return
	}
	for _, path := range [][]string{{"input_tokens"}, {"output_tokens"}, {"total_tokens"},
		{"input_tokens_details", "cached_tokens"}, {"output_tokens_details", "reasoning_tokens"}} {
		if v := u.Get(path...); !anInt.is(v) {
			c.fail("resource", "%s: expected usage.%s to be an integer, got %s", name, path[len(path)-1], show(v))
		}
	}
}

// state checks what an event says of the state of the response.
func (c *Checker) state(short string, r *fastjson.Value, raw []byte) {
	name, want := "response."+short, short
	got := string(r.GetStringBytes("status"))
	switch {
	case short == "created" && !c.queued:
		want = "in_progress"
	case short == "created":
		want = "queued"
	case short == "incomplete" && got == "cancelled": // no event has that name
		want = "cancelled"
	}
	if got != want {
		c.fail("status", "%s: expected status %q, got %q", name, want, got)
	}
	mustBe := func(key string, k kind) {
		if v := r.Get(key); !k.is(v) {
			c.fail("status", "%s: expected %s to be %s, got %s", name, key, k, show(v))
		}
	}
	mustBeNull := func(keys ...string) {
		for _, key := range keys {
			if v := r.Get(key); v != nil && v.Type() != fastjson.TypeNull {
				c.fail("status", "%s: expected %s to be null, got %s", name, key, show(v))
			}
		}
	}
	switch short {
	case "created", "queued", "in_progress":
		if output := r.GetArray("output"); len(output) > 0 {
			c.fail("order", "%s: expected output [], got %d items", name, len(output))
		}
		mustBeNull("completed_at", "incomplete_details", "error")
		return
	case "completed":
		mustBe("completed_at", anInt)
		mustBeNull("incomplete_details", "error")
	case "incomplete":
		if got == "cancelled" {
			mustBeNull("completed_at", "incomplete_details", "error")
			break
		}
		mustBe("incomplete_details", aObject)
		if v := r.Get("incomplete_details", "reason"); r.GetObject("incomplete_details") != nil && !aString.is(v) {
			c.fail("status", "%s: expected incomplete_details.reason to be a string, got %s", name, show(v))
		}
		mustBeNull("error")
	case "failed":
		mustBe("error", aObject)
		for _, key := range []string{"code", "message"} {
			if v := r.Get("error", key); r.GetObject("error") != nil && !aString.is(v) {
				c.fail("status", "%s: expected error.%s to be a string, got %s", name, key, show(v))
			}
		}
	}
	c.terminal(short, got == "cancelled", rawMember(raw, "output"))
}

// terminal compares the output of the terminal event with the items that were
// streamed, and their statuses with the response's. One that was cancelled ends at any
// point.
func (c *Checker) terminal(short string, cancelled bool, output []byte) {
	if c.item != nil && short != "failed" && !cancelled {
		c.fail("item", "expected output_item.done of item %d (%s) before response.%s", c.item.index, c.item.id, short)
	}
	items := rawElements(output)
	if len(items) != len(c.items) {
		c.fail("output", "expected the %d items that were streamed, got %d", len(c.items), len(items))
	}
	for i := range min(len(items), len(c.items)) {
		if bytes.Equal(items[i], c.items[i].raw) {
			continue
		}
		if sameJSON(items[i], c.items[i].raw) {
			c.fail("output", "expected output[%d] byte for byte as in output_item.done, got the same in another form, from byte %d on", i, firstDifference(items[i], c.items[i].raw))
		} else {
			c.fail("output", "expected output[%d] as in output_item.done, got another from its byte %d on: %s", i,
				firstDifference(items[i], c.items[i].raw), quote(items[i][firstDifference(items[i], c.items[i].raw):]))
		}
	}
	for i, it := range c.items {
		last := i == len(c.items)-1
		switch {
		case it.status == "": // reasoning items need none
		case short == "completed" && it.status != "completed", short == "incomplete" && !last && it.status != "completed":
			c.fail("status", "response.%s: expected output[%d] to be completed, it is %s", short, i, it.status)
		case short == "incomplete" && last && it.status != "incomplete" && !cancelled:
			c.fail("status", "response.incomplete: expected the last item to be incomplete, it is %s", it.status)
		}
	}
}

func firstDifference(a, b []byte) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}
