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
	data       [2]int   // where its data begins in head, and ends in tail
	whole      bool     // head and tail are of the event, not of its data alone
	misses     int      // chunks in a row that were learned in vain
}

// Bounds of what is remembered.
const (
	repeatBytes  = 1 << 10
	repeatMisses = 16 // an upstream whose chunks differ otherwise, too
)

// event returns the text, escaped, of an event like the remembered one that b begins
// with, and the length of the event; 0 when it is another.
func (r *repeat) event(b []byte) (text []byte, n int) {
	if !r.whole {
		return nil, 0
	}
	return r.between(b, r.head, r.tail)
}

// chunk is event for the data of one whose other lines are others.
func (r *repeat) chunk(data []byte) (text []byte, ok bool) {
	text, n := r.between(data, r.head[r.data[0]:], r.tail[:r.data[1]])
	return text, n > 0 && n == len(data)
}

func (r *repeat) between(b, head, tail []byte) (text []byte, n int) {
	if r.kind == noText || !bytes.HasPrefix(b, head) {
		return nil, 0
	}
	b = b[len(head):]
	n, ok := jsontext.InsideOf(b)
	if !ok || n == 0 || !bytes.HasPrefix(b[n:], tail) {
		return nil, 0
	}
	r.misses = 0
	return b[:n], len(head) + n + len(tail)
}

var textKeys = [...]struct {
	kind textKind
	key  []byte
}{{outputText, []byte(`"content"`)}, {reasoningText, []byte(`"reasoning"`)}, {reasoningText, []byte(`"reasoning_content"`)}}

// learn remembers the event whose chunk a is, read from its data, if it is of that kind.
func (r *repeat) learn(ev *sse.Event, a *chat.Answer) {
	plain := !a.Usage.Known && a.Refusal == nil && a.Finish == "" && len(a.ToolCalls) == 0 && a.Function == nil && len(a.Logprobs) == 0 && a.Elsewhere == 0 && !a.Mixed
	if !plain || (a.Content == nil) == (a.Reasoning == nil) || r.misses > repeatMisses {
		return
	}
	r.misses++
	r.kind, r.whole = noText, false
	kind := outputText
	if a.Content == nil {
		kind = reasoningText
	}
	start := textIn(ev.Data, kind)
	if start < 0 {
		return
	}
	end := start + closingQuote(ev.Data[start:])
	before, behind := ev.Data[:0], ev.Data[:0]
	if at := dataIn(ev); at >= 0 {
		before, behind, r.whole = ev.Raw[:at], ev.Raw[at+len(ev.Data):], true
	}
	if len(before)+start+len(ev.Data)-end+len(behind) > repeatBytes {
		r.whole = false
		return
	}
	r.kind, r.data = kind, [2]int{len(before), len(ev.Data) - end}
	r.head = append(append(r.head[:0], before...), ev.Data[:start]...)
	r.tail = append(append(r.tail[:0], ev.Data[end:]...), behind...)
}

// textIn returns where the text of a chunk's delta begins, -1 when it is not certain: its
// key must stand there once, in the one delta.
func textIn(data []byte, kind textKind) int {
	delta := []byte(`"delta":`)
	if at := bytes.Index(data, delta); at < 0 || !bytes.HasPrefix(data[at+len(delta):], []byte("{")) || bytes.Count(data, delta) != 1 {
		return -1
	}
	start := -1
	for _, k := range textKeys {
		if k.kind != kind {
			continue
		}
		switch bytes.Count(data, k.key) {
		case 0:
		case 1:
			at := bytes.Index(data, k.key) + len(k.key)
			if start >= 0 || !bytes.HasPrefix(data[at:], []byte(`:"`)) {
				return -1 // another one, null, or white space before the text
			}
			start = at + len(`:"`)
		default:
			return -1
		}
	}
	return start
}

// dataIn returns where the data of an event lies in it, as its last line: -1 when it does
// not. An event that ends in CR might go on with an LF.
func dataIn(ev *sse.Event) int {
	at := bytes.LastIndex(ev.Raw, ev.Data)
	if at < 0 || len(bytes.Trim(ev.Raw[at+len(ev.Data):], "\r\n")) > 0 || !bytes.HasSuffix(ev.Raw, []byte("\n")) || bytes.IndexByte(ev.Data, '\n') >= 0 {
		return -1
	}
	field, ok := bytes.CutSuffix(bytes.TrimSuffix(ev.Raw[:at], []byte(" ")), []byte("data:"))
	if !ok || len(field) > 0 && field[len(field)-1] != '\n' && field[len(field)-1] != '\r' {
		return -1
	}
	return at
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
