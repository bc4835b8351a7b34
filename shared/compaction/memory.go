// Package compaction is what a conversation becomes when it gets too long: a summary,
// and beside it, word for word, what a summary must not lose.
//
//	items ─ Gather ─► Context ─ AppendRequest ─► a request for a summary
//	summary ─ Context.Memory ─► Memory ─ Append ─► what is sealed in a compaction item
//	what was sealed ─ Read ─► Memory ─ Items ─► what stands in its place
//
// Only JSON that jsontext.Check has passed enters. Who seals, and who is asked for
// summaries, is not known here.
package compaction

import "antwort/shared/jsontext"

// A Memory is what stands for the items of a conversation that it has taken the place
// of.
type Memory struct {
	Summary string
	Users   []string // the last texts of the user, the oldest first
	Names   []string // of files and the like, and ids, that stand neither in Summary nor in Users
	Calls   [][]byte // items: calls that have no output yet
	Tail    [][]byte // items that were not summed up, and come after all else
}

// Append appends the memory as JSON.
func (m *Memory) Append(dst []byte) []byte {
	dst = escaped(dst, `{"summary":"`, m.Summary, `","users":`)
	dst = text(appendTexts(dst, m.Users), `,"names":`)
	dst = text(appendTexts(dst, m.Names), `,"calls":`)
	dst = text(appendRaw(dst, m.Calls), `,"tail":`)
	return text(appendRaw(dst, m.Tail), "}")
}

// Read reads what Append has written; false for what is none. The items are parts of
// plain.
func Read(plain []byte) (m Memory, ok bool) {
	if jsontext.Check(plain, jsontext.Limits{}) != nil {
		return m, false
	}
	jsontext.Members(plain, func(name, value []byte, _ int) bool {
		switch string(name) {
		case "summary":
			if text, is := jsontext.Text(value); is {
				m.Summary, ok = string(jsontext.Decode(nil, text)), true
			}
		case "users":
			m.Users = texts(value)
		case "names":
			m.Names = texts(value)
		case "calls":
			m.Calls = elements(value)
		case "tail":
			m.Tail = elements(value)
		}
		return true
	})
	return m, ok
}

func texts(array []byte) (all []string) {
	jsontext.Elements(array, func(value []byte) bool {
		if text, ok := jsontext.Text(value); ok {
			all = append(all, string(jsontext.Decode(nil, text)))
		}
		return true
	})
	return all
}

func elements(array []byte) (all [][]byte) {
	jsontext.Elements(array, func(value []byte) bool {
		all = with(all, value)
		return true
	})
	return all
}

// Items are those that take the place of the compaction item: one message of the user,
// for templates have no other place for it, and what was kept as it was. after are the
// items that follow: a call without an output in them is told in the message, as a
// template wants every call answered.
func (m *Memory) Items(after [][]byte) [][]byte {
	answered := map[string]bool{}
	note := func(items [][]byte) {
		for _, raw := range items {
			if it := look(raw); it.isOutput() {
				answered[it.key] = true
			}
		}
	}
	note(m.Tail)
	note(after)
	all := [][]byte{nil}
	var told [][]byte
	for _, raw := range m.Calls {
		if it := look(raw); answered[it.key] {
			all = with(all, raw)
		} else {
			told = with(told, raw)
		}
	}
	for _, raw := range m.Tail {
		all = with(all, raw)
	}
	all[0] = m.appendMessage(nil, told)
	return all
}

// appendMessage appends the message, which tells of some calls.
func (m *Memory) appendMessage(dst []byte, calls [][]byte) []byte {
	dst = escaped(dst, `{"type":"message","role":"user","content":"Summary of the conversation so far: `, m.Summary, "")
	dst = told(dst, `\n\nAlso named in it:`, `\n- `, m.Names)
	dst = told(dst, `\n\nWhat the user said last in it, word for word:`, `\n\n`, m.Users)
	for i, raw := range calls {
		if i == 0 {
			dst = text(dst, `\n\nCalls of tools in it that have no output yet:`)
		}
		dst = escaped(dst, `\n`, string(raw), "")
	}
	return text(dst, `"}`)
}

// told appends words, each after what stands before it, and what they are before the first.
func told(dst []byte, what, before string, words []string) []byte {
	for i, one := range words {
		if i == 0 {
			dst = text(dst, what)
		}
		dst = escaped(dst, before, one, "")
	}
	return dst
}
