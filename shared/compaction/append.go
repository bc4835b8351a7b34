package compaction

import "antwort/shared/jsontext"

// What grows a slice is 400 bytes of wasm a copy; here it is once.

//go:noinline
func text(dst []byte, s string) []byte { return append(dst, s...) }

//go:noinline
func bytesOf(dst, b []byte) []byte { return append(dst, b...) }

//go:noinline
func with(list [][]byte, b []byte) [][]byte { return append(list, b) }

// member appends a member of an object, and the comma behind it.
func member(dst []byte, name string, value []byte) []byte {
	return text(bytesOf(text(text(text(dst, `"`), name), `":`), value), ",")
}

// escaped appends words, escaped, between what is appended as it is.
func escaped(dst []byte, before, words, after string) []byte {
	return text(jsontext.AppendEscaped(text(dst, before), []byte(words)), after)
}

// appendTexts appends an array of texts, and appendRaw one of items.
func appendTexts(dst []byte, texts []string) []byte {
	before := `["`
	for _, one := range texts {
		dst = escaped(dst, before, one, `"`)
		before = `,"`
	}
	if len(texts) == 0 {
		dst = text(dst, "[")
	}
	return text(dst, "]")
}

func appendRaw(dst []byte, items [][]byte) []byte {
	before := "["
	for _, raw := range items {
		dst = bytesOf(text(dst, before), raw)
		before = ","
	}
	if len(items) == 0 {
		dst = text(dst, "[")
	}
	return text(dst, "]")
}
