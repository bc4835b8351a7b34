package streamcheck

import (
	"strings"

	"github.com/valyala/fastjson"
)

// A part is one content or summary part of the open item.
type part struct {
	kind string
	text strings.Builder // of the deltas
	done bool            // its text's done event came
}

// parts are the parts of an item; the last one is open until its done event.
type parts struct {
	all  []*part
	open bool
}

// partOf is the type of the part that a text event belongs to.
var partOf = map[string]string{"output_text": "output_text", "refusal": "refusal", "reasoning_text": "reasoning_text", "reasoning": "reasoning_text"}

// textMember is the member with a part's text.
func textMember(kind string) string {
	if kind == "refusal" {
		return "refusal"
	}
	return "text"
}

// event checks content_part.added and .done, and those of summaries.
func (p *parts) event(c *Checker, list, step string, index int, v *fastjson.Value) {
	kind := string(v.GetStringBytes("type"))
	text := v.Get(textMember(kind))
	if step == "added" {
		if p.open {
			c.fail("part", "expected the done event of %s part %d before the next is added", list, len(p.all)-1)
		}
		if index != len(p.all) {
			c.fail("index", "expected %s_index %d, got %d", list, len(p.all), index)
		}
		if !aString.is(text) || len(text.GetStringBytes()) > 0 {
			c.fail("part", "expected the added part to have %s \"\", got %s", textMember(kind), show(text))
		}
		p.checkAnnotations(c, kind, v)
		p.all = append(p.all, &part{kind: kind})
		p.open = true
		return
	}
	if !p.open {
		c.fail("part", "expected the added event of a %s part before its done event", list)
		return
	}
	p.open = false
	last := p.all[len(p.all)-1]
	if index != len(p.all)-1 {
		c.fail("index", "expected %s_index %d, got %d", list, len(p.all)-1, index)
	}
	if kind != last.kind {
		c.fail("part", "expected part.type %q as added, got %q", last.kind, kind)
	}
	if !last.done {
		c.fail("part", "expected the done event of its text before the part's")
	}
	p.checkAnnotations(c, kind, v)
	if got := string(text.GetStringBytes()); got != last.text.String() {
		c.fail("text", "expected part.%s as in the deltas, %s, got %s", textMember(kind), quoteText(last.text.String()), quoteText(got))
	}
}

func (p *parts) checkAnnotations(c *Checker, kind string, v *fastjson.Value) {
	if kind == "output_text" && !aArray.is(v.Get("annotations")) {
		c.fail("part", "expected part.annotations to be an array, got %s", show(v.Get("annotations")))
	}
}

// at returns the open part of a text event, nil when there is no such part.
func (p *parts) at(c *Checker, short, kind string, index int) *part {
	if !p.open {
		c.fail("part", "expected the added event of its part before response.%s", short)
		return nil
	}
	last := p.all[len(p.all)-1]
	if index != len(p.all)-1 {
		c.fail("index", "expected index %d of the open part, got %d", len(p.all)-1, index)
	}
	if last.kind != kind {
		c.fail("part", "expected events of the open %s part, got response.%s", last.kind, short)
		return nil
	}
	return last
}

// text checks the deltas and the done event of a part's text.
func (p *parts) text(c *Checker, short, kind, step string, index int, v *fastjson.Value) {
	open := p.at(c, short, kind, index)
	if open == nil {
		return
	}
	if open.done {
		c.fail("part", "expected the part's done event after that of its text, got response.%s", short)
	}
	if step == "delta" {
		open.text.Write(c.delta(short, v))
		return
	}
	open.done = true
	member := textMember(kind)
	if got := string(v.GetStringBytes(member)); got != open.text.String() {
		c.fail("text", "expected %s as in the deltas, %s, got %s", member, quoteText(open.text.String()), quoteText(got))
	}
}

// compare checks the parts of the done item against those that were streamed.
func (p *parts) compare(c *Checker, list string, got []*fastjson.Value) {
	if p.open {
		c.fail("part", "expected the done event of %s part %d before output_item.done", list, len(p.all)-1)
	}
	if len(got) != len(p.all) {
		c.fail("text", "expected the %d %s parts that were streamed in the item, got %d", len(p.all), list, len(got))
		return
	}
	for i, v := range got {
		want := p.all[i]
		if kind := string(v.GetStringBytes("type")); kind != want.kind {
			c.fail("part", "expected item.%s[%d].type %q as added, got %q", list, i, want.kind, kind)
		}
		if text := string(v.GetStringBytes(textMember(want.kind))); text != want.text.String() {
			c.fail("text", "expected item.%s[%d] to have the text of its deltas, %s, got %s", list, i, quoteText(want.text.String()), quoteText(text))
		}
	}
}
