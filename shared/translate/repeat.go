package translate

import (
	"bytes"

	"antwort/shared/chat"
	"antwort/shared/jsontext"
)

// repeat remembers a chunk that was one delta of text and nothing else. The
// chunks of a stream differ in little but that text; one that differs in
// nothing else has the same meaning with another text, and is not parsed.
type repeat struct {
	kind       textKind // noText: nothing is remembered
	head, tail []byte   // the chunk's data before and after the text
	misses     int      // chunks in a row that were learned in vain
}

// Bounds of what is remembered.
const (
	repeatBytes  = 1 << 10
	repeatMisses = 16 // an upstream whose chunks differ otherwise, too
)

// text returns the text, escaped, of a chunk that is like the remembered one.
func (r *repeat) text(data []byte) (text []byte, ok bool) {
	end := len(data) - len(r.tail)
	if r.kind == noText || end < len(r.head) || !bytes.Equal(data[end:], r.tail) || !bytes.Equal(data[:len(r.head)], r.head) {
		return nil, false
	}
	text = data[len(r.head):end]
	if len(text) == 0 || !jsontext.Inside(text) {
		return nil, false
	}
	r.misses = 0
	return text, true
}

var textKeys = [...]struct {
	kind textKind
	key  string
}{{outputText, `"content"`}, {reasoningText, `"reasoning"`}, {reasoningText, `"reasoning_content"`}}

// learn remembers the chunk a, read from data, if it is of that kind.
func (r *repeat) learn(data []byte, a *chat.Answer) {
	plain := !a.Usage.Known && a.Refusal == nil && a.Finish == "" && len(a.ToolCalls) == 0 && a.Function == nil && len(a.Logprobs) == 0 && a.Elsewhere == 0 && !a.Mixed
	if !plain || (a.Content == nil) == (a.Reasoning == nil) || r.misses > repeatMisses {
		return
	}
	r.misses++
	r.kind = noText
	kind := outputText
	if a.Content == nil {
		kind = reasoningText
	}
	for _, k := range textKeys {
		// The key stands there once, so the text behind it is the one that was read.
		at := bytes.Index(data, []byte(k.key))
		if k.kind != kind || at < 0 || bytes.Count(data, []byte(k.key)) != 1 {
			continue
		}
		start := at + len(k.key) + len(`:"`)
		if !bytes.HasPrefix(data[at+len(k.key):], []byte(`:"`)) {
			continue // null, or white space before the text
		}
		end := start + closingQuote(data[start:])
		if start+len(data)-end > repeatBytes {
			return
		}
		r.kind, r.head, r.tail = kind, append(r.head[:0], data[:start]...), append(r.tail[:0], data[end:]...)
		return
	}
}

// closingQuote returns where the string ends whose inside b begins with.
func closingQuote(b []byte) int {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(b)
}
