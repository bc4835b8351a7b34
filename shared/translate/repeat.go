package translate

import (
	"bytes"

	"antwort/shared/chat"
	"antwort/shared/jsontext"
	"antwort/shared/sse"
)

// repeat remembers an event whose chunk was one delta of text and nothing else.
// The events of a stream differ in little but that text; one that differs in
// nothing else has the same meaning with another text: it is neither taken apart
// nor parsed.
type repeat struct {
	kind       textKind // noText: nothing is remembered
	head, tail []byte   // the event before and after the text
	misses     int      // chunks in a row that were learned in vain
}

// Bounds of what is remembered.
const (
	repeatBytes  = 1 << 10
	repeatMisses = 16 // an upstream whose chunks differ otherwise, too
)

// text returns the text, escaped, of an event like the remembered one that b begins
// with, and the length of the event.
func (r *repeat) text(b []byte) (text []byte, event int) {
	if r.kind == noText || !bytes.HasPrefix(b, r.head) {
		return nil, 0
	}
	b = b[len(r.head):]
	n, ok := jsontext.InsideOf(b)
	if !ok || n == 0 || !bytes.HasPrefix(b[n:], r.tail) {
		return nil, 0
	}
	r.misses = 0
	return b[:n], len(r.head) + n + len(r.tail)
}

var textKeys = [...]struct {
	kind textKind
	key  string
}{{outputText, `"content"`}, {reasoningText, `"reasoning"`}, {reasoningText, `"reasoning_content"`}}

// learn remembers the event whose chunk a is, read from its data, if it is of that
// kind. One that ends in CR might go on with an LF.
func (r *repeat) learn(ev *sse.Event, a *chat.Answer) {
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
		key := []byte(k.key)
		if k.kind != kind || bytes.Count(ev.Data, key) != 1 || bytes.Count(ev.Raw, key) != 1 || !bytes.HasSuffix(ev.Raw, []byte("\n")) {
			continue
		}
		start := bytes.Index(ev.Raw, key) + len(k.key)
		if !bytes.HasPrefix(ev.Raw[start:], []byte(`:"`)) {
			continue // null, or white space before the text
		}
		start += len(`:"`)
		end := start + closingQuote(ev.Raw[start:])
		if start+len(ev.Raw)-end > repeatBytes {
			return
		}
		r.kind, r.head, r.tail = kind, append(r.head[:0], ev.Raw[:start]...), append(r.tail[:0], ev.Raw[end:]...)
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
