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

import (
	"slices"

	"antwort/shared/jsontext"
)

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
	dst = append(dst, `{"summary":`...)
	dst = jsontext.AppendString(dst, m.Summary)
	dst = appendTexts(append(dst, `,"users":`...), m.Users)
	dst = appendTexts(append(dst, `,"names":`...), m.Names)
	dst = appendRaw(append(dst, `,"calls":`...), m.Calls)
	dst = appendRaw(append(dst, `,"tail":`...), m.Tail)
	return append(dst, '}')
}

func appendTexts(dst []byte, texts []string) []byte {
	dst = append(dst, '[')
	for i, text := range texts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsontext.AppendString(dst, text)
	}
	return append(dst, ']')
}

func appendRaw(dst []byte, items [][]byte) []byte {
	dst = append(dst, '[')
	for i, raw := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, raw...)
	}
	return append(dst, ']')
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
		all = append(all, value)
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
	for _, items := range [...][][]byte{m.Tail, after} {
		for _, raw := range items {
			if it := look(raw); it.isOutput() {
				answered[it.key] = true
			}
		}
	}
	var told, calls [][]byte
	for _, raw := range m.Calls {
		if it := look(raw); answered[it.key] {
			calls = append(calls, raw)
		} else {
			told = append(told, raw)
		}
	}
	return slices.Concat([][]byte{m.appendMessage(nil, told)}, calls, m.Tail)
}

// appendMessage appends the message, which tells of some calls.
func (m *Memory) appendMessage(dst []byte, calls [][]byte) []byte {
	dst = append(dst, `{"type":"message","role":"user","content":"`...)
	dst = jsontext.AppendEscaped(dst, []byte("Summary of the conversation so far: "+m.Summary))
	if len(m.Names) > 0 {
		dst = append(dst, `\n\nAlso named in it:`...)
		for _, name := range m.Names {
			dst = jsontext.AppendEscaped(append(dst, `\n- `...), []byte(name))
		}
	}
	if len(m.Users) > 0 {
		dst = append(dst, `\n\nWhat the user said last in it, word for word:`...)
		for _, text := range m.Users {
			dst = jsontext.AppendEscaped(append(dst, `\n\n`...), []byte(text))
		}
	}
	if len(calls) > 0 {
		dst = append(dst, `\n\nCalls of tools in it that have no output yet:`...)
		for _, raw := range calls {
			dst = jsontext.AppendEscaped(append(dst, `\n`...), raw)
		}
	}
	return append(dst, `"}`...)
}
