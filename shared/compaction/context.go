package compaction

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"antwort/shared/jsontext"
)

// Type is that of the items that have a memory sealed in them, Trigger that of an item
// which asks for one.
const (
	Type    = "compaction"
	Trigger = "compaction_trigger"
)

// usersBytes bounds the texts of the user that a memory has.
const usersBytes = 20 << 10

// A Context is a conversation that is to be summed up.
type Context struct {
	// Items are those that a summary is made of, the oldest first.
	Items [][]byte
	// Messages are those of the user, as they came.
	Messages [][]byte

	users []string
	calls [][]byte
	tail  [][]byte
	names []string // that an earlier memory has
}

// Gather takes the items of a conversation: those that a store has, and those of the
// input, JSON arrays both, or a text. With apart what follows the model's last word
// is not summed up, but kept. The last compaction, of which m is the memory, takes the
// place of what stands before it.
func Gather(past, input []byte, apart bool, m Memory) Context {
	var g gathering
	jsontext.Elements(past, g.add)
	if _, isText := jsontext.Text(input); isText {
		g.add(text(bytesOf([]byte(`{"type":"message","role":"user","content":`), input), "}"))
	}
	jsontext.Elements(input, g.add)
	if g.summed {
		g.begin(m)
	}
	end := len(g.items)
	for apart && end > 0 && !g.items[end-1].isModels() && g.items[end-1].typ != "" {
		end--
	}
	if end == 0 { // the model has said nothing
		end = len(g.items)
	}
	return g.context(end)
}

type gathering struct {
	items    []item   // behind the last compaction; those of type "" are a memory's message
	messages [][]byte // of the user, what stands before a compaction included
	summed   bool     // there was a compaction
	memory   Memory   // of the last
}

func (g *gathering) add(raw []byte) bool {
	it := look(raw)
	switch it.typ {
	case Trigger:
	case Type:
		g.items, g.summed = g.items[:0], true
	default:
		if g.take(it); it.isUsers() {
			g.messages = with(g.messages, raw)
		}
	}
	return true
}

// begin puts what a memory has before the items.
func (g *gathering) begin(m Memory) {
	after := g.items
	message := m
	message.Users = nil // they are kept as they are
	g.memory, g.items = m, make([]item, 0, 1+len(m.Calls)+len(m.Tail)+len(after))
	g.take(item{raw: message.appendMessage(nil, nil)})
	for _, raw := range m.Calls {
		g.take(look(raw))
	}
	for _, raw := range m.Tail {
		g.take(look(raw))
	}
	g.items = append(g.items, after...)
}

//go:noinline
func (g *gathering) take(it item) { g.items = append(g.items, it) }

// context is what comes of the items of which those up to end are summed up.
func (g *gathering) context(end int) Context {
	c := Context{Messages: g.messages, names: g.memory.Names}
	var asked []*item // by the user
	answered := map[string]int{}
	for i := range g.items[:end] {
		if it := &g.items[i]; it.isOutput() {
			answered[it.key]++
		}
	}
	for i := range g.items {
		it := &g.items[i]
		switch {
		case i >= end:
			c.tail = with(c.tail, it.raw)
		case it.isCall() && answered[it.key] == 0:
			c.calls = with(c.calls, it.raw)
		case it.isCall():
			answered[it.key]--
			c.Items = with(c.Items, it.raw)
		case it.typ == "reasoning", it.typ == "additional_tools":
		default:
			c.Items = with(c.Items, it.raw)
			if it.isUsers() {
				asked = append(asked, it)
			}
		}
	}
	c.users = lastTexts(g.memory.Users, asked)
	return c
}

// lastTexts are the last of the texts that an earlier memory has and items say, which are
// together no longer than may be. Of one that is, its beginning and its end stay.
func lastTexts(earlier []string, items []*item) (texts []string) {
	left := usersBytes
	for i := len(earlier) + len(items) - 1; i >= 0; i-- {
		var said string
		if i < len(earlier) {
			said = earlier[i]
		} else {
			said = items[i-len(earlier)].text(usersBytes)
		}
		if len(said) > usersBytes && len(texts) == 0 {
			return []string{ends(said)}
		}
		if left -= len(said); left < 0 {
			break
		}
		if said != "" {
			texts = append(texts, said)
		}
	}
	slices.Reverse(texts)
	return texts
}

func ends(text string) string {
	head, tail := usersBytes/2, len(text)-usersBytes/2
	for head > 0 && !utf8.RuneStart(text[head]) {
		head--
	}
	for tail < len(text) && !utf8.RuneStart(text[tail]) {
		tail++
	}
	return text[:head] + " … " + text[tail:]
}

// Kept is how many bytes a memory has beside the summary, word for word.
func (c *Context) Kept() (size int) {
	for _, items := range [...][][]byte{c.calls, c.tail} {
		for _, raw := range items {
			size += len(raw)
		}
	}
	return size
}

// Memory is what stands for the conversation from now on.
func (c *Context) Memory(summary string) Memory {
	m := Memory{Summary: summary, Users: c.users, Calls: c.calls, Tail: c.tail}
	m.Names = namesIn(c.Items, c.names, &m)
	return m
}

// AppendRequest appends a request of the Responses API that asks for a summary of some
// items, after the one of what stands before them, if there is any: body's, with its
// model and its instructions, and the words that ask for it last.
func AppendRequest(dst, body []byte, before string, items [][]byte, instruction string, tokens []byte) []byte {
	dst = text(dst, "{")
	jsontext.Members(body, func(name, value []byte, _ int) bool {
		switch name := string(name); name {
		case "model", "instructions", "chat_template_kwargs", "cache_salt", "priority", "user", "prompt_cache_key":
			dst = member(dst, name, value)
		}
		return true
	})
	dst = text(bytesOf(text(dst, `"store":false,"temperature":0,"max_output_tokens":`), tokens), `,"input":[`)
	if before != "" {
		m := Memory{Summary: before}
		dst = text(m.appendMessage(dst, nil), ",")
	}
	for _, raw := range items {
		dst = text(bytesOf(dst, raw), ",")
	}
	return escaped(dst, `{"type":"message","role":"user","content":"`, instruction, `"}]}`)
}

// Cut is where items are best cut in two for summaries of either: in the middle of
// their text, but never between a call and its output. It is 0 where there is no such
// place.
func Cut(items [][]byte) int {
	total := 0
	for _, raw := range items {
		total += len(raw)
	}
	best, distance, size, waiting := 0, total, 0, map[string]bool{}
	for i, raw := range items {
		if i > 0 && len(waiting) == 0 {
			if d := abs(total/2 - size); d < distance {
				best, distance = i, d
			}
		}
		size += len(raw)
		switch it := look(raw); {
		case it.isCall():
			waiting[it.key] = true
		case it.isOutput():
			delete(waiting, it.key)
		}
	}
	return best
}

func abs(n int) int { return max(n, -n) }

// mediumTokens is about how many tokens an image has.
const mediumTokens = 1024

// Estimate is about how many tokens a chat request has: one for four bytes of its text.
func Estimate(chat []byte) int64 {
	const data = `:"data:`
	size, media := len(chat), 0
	for rest := chat; ; media++ {
		_, after, found := bytes.Cut(rest, []byte(data))
		if !found {
			break
		}
		end := max(0, bytes.IndexByte(after, '"'))
		size, rest = size-end, after[end:]
	}
	return int64(size/4 + media*mediumTokens)
}
