package adopt

import "antwort/shared/jsontext"

// opened is a message that has begun: what a client has read of it when it leaves is a
// part of the conversation.
type opened struct {
	id    string // ours; "": there is none
	index int
	texts []part
}

// part is the text of a message's part, escaped.
type part struct {
	kind, member string
	text         []byte
}

// begin takes an item that has begun.
func (o *opened) begin(item []byte, id string, index int) {
	*o = opened{index: index}
	jsontext.Members(item, func(name, value []byte, _ int) bool {
		if string(name) == "type" && string(value) == `"message"` {
			o.id = id
		}
		return true
	})
}

// add takes a piece of text.
func (o *opened) add(ev *event) {
	kind, member := "output_text", "text"
	switch ev.kind {
	case "response.output_text.delta":
	case "response.refusal.delta":
		kind, member = "refusal", "refusal"
	default:
		return
	}
	if o.id == "" || ev.index >= 0 && ev.index != o.index || ev.content < 0 || ev.content > len(o.texts) {
		return
	}
	if ev.content == len(o.texts) {
		o.texts = append(o.texts, part{kind: kind, member: member})
	}
	p := &o.texts[ev.content]
	p.text = append(p.text, ev.delta...)
}

// held is how many bytes it holds.
func (o *opened) held() (n int) {
	for _, p := range o.texts {
		n += cap(p.text)
	}
	return n
}

// append appends the message as far as it came, after other items.
func (o *opened) append(items []byte) []byte {
	if o.id == "" || len(o.texts) == 0 {
		return items
	}
	if len(items) > 0 {
		items = append(items, ',')
	}
	items = append(append(append(items, `{"id":"`...), o.id...), `","type":"message","role":"assistant","content":[`...)
	for i, p := range o.texts {
		if i > 0 {
			items = append(items, ',')
		}
		items = append(append(append(items, `{"type":"`...), p.kind...), '"')
		if p.kind == "output_text" {
			items = append(items, `,"annotations":[]`...)
		}
		items = append(append(append(items, `,"`...), p.member...), `":"`...)
		items = append(append(items, p.text...), `"}`...)
	}
	return append(items, `],"status":"incomplete"}`...)
}
