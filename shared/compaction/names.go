package compaction

import (
	"slices"
	"strings"

	"antwort/shared/jsontext"
)

// Names are what a summary most easily loses, and what the work cannot go on without:
// files, addresses, ids. They are found by their form.

// namesBytes bounds the names that a memory has. The last ones stay.
const namesBytes = 4 << 10

// namesIn are the names in items that are not in the memory, those that an earlier
// memory had before them.
func namesIn(items [][]byte, earlier []string, m *Memory) []string {
	found, seen := []string(nil), map[string]bool{}
	said := m.Summary + "\n" + strings.Join(m.Users, "\n")
	note := func(name string) {
		if !seen[name] && !strings.Contains(said, name) {
			found = append(found, name)
		}
		seen[name] = true
	}
	for _, name := range earlier {
		note(name)
	}
	for _, raw := range items {
		for _, word := range words(raw) {
			note(word)
		}
	}
	left, first := namesBytes, len(found)
	for first > 0 && len(found[first-1]) <= left {
		first--
		left -= len(found[first])
	}
	return slices.Clip(found[first:])
}

// words are the names that an item says.
func words(raw []byte) (all []string) {
	jsontext.Members(raw, func(name, value []byte, _ int) bool {
		switch string(name) {
		case "content", "arguments", "input", "output", "action", "operation":
		default:
			return true
		}
		text := string(jsontext.Decode(nil, value))
		for word := range strings.FieldsFuncSeq(text, separates) {
			if word = strings.TrimLeft(strings.TrimRight(word, ".:!?'"), "'"); isName(word) {
				all = append(all, word)
			}
		}
		return true
	})
	return all
}

func separates(r rune) bool {
	return r <= ' ' || strings.ContainsRune("\"`\\,;(){}[]<>|=*", r)
}

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
