package translate

import (
	"bytes"
	"slices"
	"unicode"

	"antwort/shared/jsontext"
)

// arguments are those of a call as they arrive, decoded. They are one JSON
// object; what servers and models make of it is put right where its meaning is
// certain, and passes as it is where it is not:
//
//	nothing, blanks, null        {}
//	{…}{…}, {…},{…}              two calls
//	{…}{…} that are equal        one
//	{}{…}                        the second one
type arguments struct {
	said  []byte  // but for the first bytes, when gone is not 0
	gone  int     // how many bytes of them were told and are not kept
	first int     // where the first text ends; 0 while it does not
	more  bool    // another text has begun behind it
	end   jsonEnd // of the text that came last
	live  bool    // the first text is an object with members, or no JSON: it may be told as it comes
	plain bool    // it is no JSON, which ends nowhere
	head  [2]byte // the first bytes that are no blanks
	heads int     // how many of them came
}

// write takes a piece and returns how much of it belongs to the first text.
func (a *arguments) write(p []byte) int {
	before := a.gone + len(a.said)
	a.said = append(a.said, p...)
	for rest := p; a.heads < len(a.head); rest = rest[1:] {
		if rest = trimLeft(rest); len(rest) == 0 {
			break
		}
		a.head[a.heads] = rest[0]
		a.heads++
	}
	if !a.live && isLive(a.head[:a.heads]) {
		a.live, a.plain = true, a.head[0] != '{'
	}
	if a.plain {
		return len(p)
	}
	for rest := p; len(rest) > 0; {
		if a.end.complete {
			if rest = trimLeft(rest); len(rest) == 0 {
				break
			}
			a.more, a.end = true, jsonEnd{}
		}
		rest = rest[a.end.write(rest):]
		if a.end.complete && a.first == 0 {
			a.first = a.gone + len(a.said) - len(rest)
		}
	}
	if a.first == 0 {
		return len(p)
	}
	return max(a.first-before, 0)
}

// forget lets go of what was told. It is to be had from the item.
func (a *arguments) forget() {
	if a.first == 0 {
		a.gone += len(a.said)
		a.said = a.said[:0]
	}
}

// isLive reports whether a text that begins so is told as it comes: an object
// with members, or what is no JSON at all. Of others it is not known yet
// whether they mean something.
func isLive(said []byte) bool {
	said = trimLeft(said)
	if len(said) == 0 {
		return false
	}
	switch c := said[0]; {
	case c == '{':
		said = trimLeft(said[1:])
		return len(said) > 0 && said[0] != '}'
	case c == '[', c == '"', c == '-', c == 't', c == 'f', c == 'n', c >= '0' && c <= '9':
		return false
	}
	return true
}

// maxTexts is how many texts of one call are told apart. Of all that are in the arguments of an
// answer's calls, those that say nothing, or the same, too, maxLooked are looked at, beside
// someTexts of each call, and mostValues values.
const (
	maxTexts   = 512
	maxLooked  = 8 * maxTexts
	someTexts  = 4
	mostValues = 1 << 18
)

// looks are how much has been looked at of the arguments of an answer's calls.
type looks struct {
	texts, again int
	values       int // how many may be looked at still
	summed       int // bytes of calls of several texts
	told         int // bytes of those that are told at once
	parsed       int // values in those of clients' tools
}

// another reports whether the text at i of a call may be looked at.
func (l *looks) another(i int) bool {
	if i < someTexts {
		return true
	}
	l.texts++
	return l.texts <= maxLooked
}

// parses returns how many values of a client's call may be parsed, at least 1 and 0 without a
// limit: all calls of an answer have one limit together, most, but for some of each.
func (l *looks) parses(arguments []byte, most int) int {
	if most == 0 {
		return 0
	}
	n := bytes.Count(arguments, []byte(",")) + bytes.Count(arguments, []byte("["))
	if n <= fewValues {
		return most
	}
	left := max(most-l.parsed, 1)
	l.parsed += n
	return left
}

// fewValues are as many as a client's call has without counting for others: of an answer's calls
// there are 2,048 at most.
const fewValues = 16

// longTexts is up to how many bytes of arguments blanks are looked at: behind a text that is
// no JSON, and between the tokens of texts that may be the same, of all calls of an answer.
const longTexts = 1 << 20

// split returns what the arguments are: one text, or several, each of a call
// of its own. One that was told as it came is the first of them, with the blanks
// before it.
func (l *looks) split(said []byte, custom bool) [][]byte {
	var all [][]byte
	var sums []uint64 // of all, where they are more than one
	withBlanks := false
	rest, start := said, 0 // where the last of all begins
	for i := 0; l.another(i); i++ {
		n, ok := jsontext.ExtentOf(rest, &l.values)
		if !ok || custom && trimLeft(rest)[0] != '{' || len(all) == maxTexts {
			break
		}
		text := trim(rest[:n])
		at := len(said) - len(rest)
		rest = afterJoin(rest[n:])
		last := len(all) - 1
		switch {
		case last >= 0 && saysNothing(all[last]):
			all = all[:last]
		case last < 0:
		case saysNothing(text):
			continue
		default:
			if len(sums) == 0 {
				l.summed += len(said)
				withBlanks = l.summed > longTexts
				sums = append(sums, sumOf(all[0], withBlanks))
			}
			sum := sumOf(text, withBlanks)
			if slices.Contains(sums, sum) {
				continue
			}
			sums = append(sums, sum)
		}
		all, start = append(all, text), at
	}
	rest = trim(rest)
	last := len(all) - 1
	switch {
	case len(rest) > 0 && last < 0:
		if end := (jsonEnd{}); rest[0] == '{' && isBlank(said[len(said)-1]) && len(said) <= longTexts {
			if n := end.write(said); len(trimLeft(said[n:])) == 0 {
				said = said[:n]
			}
		}
		return [][]byte{said}
	case len(rest) > 0 && rest[0] == '{': // the model broke the last one
		all = append(all, rest)
	case len(rest) > 0:
		all[last] = trim(said[start:])
	case last < 0 && custom:
		return [][]byte{nil}
	case last < 0, last == 0 && saysNothing(all[0]) && !custom:
		return [][]byte{[]byte("{}")}
	}
	if isLive(said) {
		all[0] = said[:blanks(said)+len(all[0])]
	}
	return all
}

// afterJoin returns what stands behind a text: the next one, when there is an
// object or a list behind nothing but a comma and blanks, of whatever kind.
func afterJoin(rest []byte) []byte {
	rest = trimLeft(rest) // it is not gone through again
	next := trimSpace(rest)
	if len(next) > 0 && next[0] == ',' {
		next = trimSpace(next[1:])
	}
	if len(next) > 0 && (next[0] == '{' || next[0] == '[') {
		return next
	}
	return rest
}

// trimSpace cuts blanks of all kinds from the left. Those that only Unicode knows are few.
func trimSpace(b []byte) []byte {
	b = trimLeft(b)
	few := b[:min(len(b), 64)]
	return b[len(few)-len(bytes.TrimLeftFunc(few, unicode.IsSpace)):]
}

// saysNothing reports whether a text, without blanks around it, is an empty
// object or null.
func saysNothing(text []byte) bool {
	return string(text) == "null" || len(text) > 1 && text[0] == '{' && len(trimLeft(text[1:])) == 1
}

// sumOf is a sum of a JSON text without the blanks between its tokens: those that have the
// same are taken for the same. With its blanks it is read faster.
func sumOf(text []byte, withBlanks bool) uint64 {
	if withBlanks {
		return jsontext.Sum(text)
	}
	h, inString, escaped := uint64(sumStart), false, false
	for _, c := range text {
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = inString
		case c == '"':
			inString = !inString
		case !inString && isBlank(c):
			continue
		}
		h = (h ^ uint64(c)) * sumPrime
	}
	return h
}
