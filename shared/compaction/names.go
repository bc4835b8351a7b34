package compaction

import (
	"iter"
	"slices"
	"strings"

	"antwort/shared/jsontext"
)

// Names are what a summary most easily loses, and what the work cannot go on without:
// files, addresses, ids. They are found by their form.

// namesBytes bounds the names that a memory has: the last ones stay. They are looked for in
// the last namedBytes of what was said.
const (
	namesBytes = 4 << 10
	namedBytes = 256 << 10
)

// namesIn are the names in items that are not in the memory, those that an earlier
// memory had before them.
func namesIn(items [][]byte, earlier []string, m *Memory) []string {
	found, seen := []string(nil), map[string]bool{} // true: it is to be told
	note := func(name string) {
		if !seen[name] {
			seen[name], found = true, append(found, name)
		}
	}
	for _, name := range earlier {
		note(name)
	}
	left, first := namedBytes, len(items)
	for ; first > 0 && left > 0; first-- {
		left -= len(items[first-1])
	}
	for _, raw := range items[first:] {
		said(raw, max(-left, 0), func(text string) {
			for word := range words(text) {
				if isName(word) {
					note(word)
				}
			}
		})
		left = 0 // of the others nothing is too much
	}
	has := func(text string) {
		for word := range words(text) {
			if len(word) <= longestName && seen[word] {
				seen[word] = false
			}
		}
	}
	has(m.Summary)
	for _, said := range m.Users {
		has(said)
	}
	found = slices.DeleteFunc(found, func(name string) bool { return !seen[name] })
	left, first = namesBytes, len(found)
	for first > 0 && len(found[first-1]) <= left {
		first--
		left -= len(found[first])
	}
	return slices.Clip(found[first:])
}

// said visits what an item says behind its first bytes.
func said(raw []byte, behind int, visit func(text string)) {
	jsontext.Members(raw, func(name, value []byte, at int) bool {
		switch string(name) {
		case "content", "arguments", "input", "output", "action", "operation":
		default:
			return true
		}
		end := at + len(value)
		switch {
		case at >= behind:
			visit(string(jsontext.Decode(nil, value)))
		case end > behind: // what it begins with may be the end of a name
			text := string(jsontext.Decode(nil, jsontext.Tail(value, end-behind)))
			if start := strings.IndexByte(text, ' '); start >= 0 {
				visit(text[start:])
			}
		}
		return true
	})
}

// words yields what stands between separators, without what ends a sentence.
func words(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for start, i := 0, 0; i <= len(text); i++ {
			if i < len(text) && !separates[text[i]] {
				continue
			}
			word := strings.TrimLeft(strings.TrimRight(text[start:i], ".:!?'"), "'")
			if start = i + 1; word != "" && !yield(word) {
				return
			}
		}
	}
}

var separates = func() (t [256]bool) {
	for c := range ' ' + 1 {
		t[c] = true
	}
	for _, c := range []byte("\"`\\,;(){}[]<>|=*") {
		t[c] = true
	}
	return t
}()

// The lengths of names, in bytes. What is longer is data.
const (
	shortestName = 4
	longestName  = 200
)

func isName(word string) bool {
	if len(word) < shortestName || len(word) > longestName {
		return false
	}
	letters, digits, joins := 0, 0, 0
	for i := range len(word) {
		switch c := word[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			letters++
		case c == '_' || c == '-':
			joins++
		}
	}
	_, extension, dotted := strings.Cut(word, ".")
	switch {
	case letters == 0:
		return digits >= 5
	case strings.Contains(word, "/"):
		return true
	case dotted && len(extension) <= 12:
		return true
	}
	return digits > 0 && (joins > 0 || len(word) >= 6)
}
