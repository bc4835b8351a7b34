package chat

import (
	"bytes"

	"antwort/shared/jsontext"
)

// A Splitter takes a whole answer, or one chunk of a stream, piece by piece and
// parts what can be long in it from the rest: the entries of
// choices[0].logprobs.content go to Entry one by one, and arrays and objects that
// Read does not look at are left out, null in their place. What is left, Rest, is
// for a parser; an answer of a hundred thousand entries makes no tree of them.
//
// It checks nothing: text that is no JSON becomes something that is none either,
// unless what is wrong stands in what was left out. Only long strings it looks at as they
// come, so that nobody needs to when the last byte is there (see Long).
type Splitter struct {
	// Entry is given each entry, valid until it returns. It returns whether to go
	// on.
	Entry func(entry []byte) bool

	rest        []byte
	entry       []byte // one that has begun in an earlier piece
	values      int    // about how many are in rest
	entryValues int    // and in the entries
	stopped     bool   // Entry does not go on
	to          part   // where what comes goes
	path        int    // open brackets that lead to the entries: { [ { { [
	below       int    // open brackets beside that path
	place       int    // in choices
	inString    bool
	escaped     bool   // after a backslash in it
	named       bool   // in an object of the path: the name is behind us
	naming      bool   // in a name
	name        []byte // the last one, in letters
	letters     [24]byte

	escapes  int // in what is kept, but for long strings that are values
	within   int // of these, in the string that has begun
	run      int // bytes of the value that has begun, which is no string
	overlong bool

	long    []jsontext.Span  // see Long
	broken  bool             // a long string is no inside of one
	begun   int              // where in rest the inside of the string begins; -1: it is not kept
	looked  int              // how far in rest long strings have been looked at
	check   jsontext.Checker // of the one that has begun
	isValue bool             // the last of long ended last of all strings: a colon makes a name of it
}

// part is what becomes of a piece of the answer.
type part uint8

const (
	kept part = iota
	leftOut
	anEntry
	between // entries
)

// How far path leads.
const (
	inAnswer = iota + 1
	inChoices
	inChoice
	inLogprobs
	inEntries
)

// EntryBytes is the longest entry that is gathered: Entry gets a longer one as it
// is until then.
const EntryBytes = 64 << 10

// Rest is what is left of the answer, valid until the next Write or Reset.
func (s *Splitter) Rest() []byte { return s.rest }

// Long returns where in Rest the values are that are long strings, with their escapes counted,
// and whether all of them are right.
func (s *Splitter) Long() (long []jsontext.Span, ok bool) { return s.long, !s.broken }

// Values returns about how many values are in Rest, not fewer than there are, and
// in the entries.
func (s *Splitter) Values() (rest, entries int) { return s.values + 1, s.entryValues }

// Escapes returns how many escapes a parser finds in Rest that does not see its long strings.
func (s *Splitter) Escapes() int { return s.escapes }

// Overlong reports whether a number has come of more than jsontext.MaxNumber, which a parser
// would read digit by digit. Nothing is taken from then on.
func (s *Splitter) Overlong() bool { return s.overlong }

// Held returns how many bytes of memory the splitter takes.
func (s *Splitter) Held() int { return cap(s.rest) + cap(s.entry) }

// Complete reports whether the answer's last bracket has come.
func (s *Splitter) Complete() bool {
	return s.path == 0 && s.below == 0 && len(s.rest) > 0 && !s.inString && s.values > 0
}

// Reset makes s ready for another answer, in the memory that it has.
func (s *Splitter) Reset(entry func([]byte) bool) {
	*s = Splitter{Entry: entry, rest: s.rest[:0], entry: s.entry[:0], long: s.long[:0]}
}

// Write takes the next bytes.
func (s *Splitter) Write(p []byte) {
	from := 0 // where what goes one way begins
	for i := 0; i < len(p) && !s.stopped; {
		if s.inString {
			if i += s.text(p[i:]); s.inString {
				continue
			}
			if s.isLong(i - from - 1) {
				s.send(p[from:i])
				from = i
				s.endLong()
			} else {
				s.escapes += s.within
			}
			continue
		}
		if s.to == leftOut || s.to == anEntry {
			if i += s.skip(p[i:]); i == len(p) {
				break
			}
		}
		run := s.run + 1
		s.run = 0
		switch c := p[i]; c {
		case '"':
			s.inString, s.isValue, s.begun, s.within = true, false, -1, 0
			if s.to == kept {
				s.begun = len(s.rest) + i + 1 - from
			}
			if s.naming = s.below == 0 && s.inObject() && !s.named; s.naming {
				s.name = s.letters[:0]
			}
		case ':':
			s.named = s.named || s.below == 0
			if s.isValue {
				last := len(s.long) - 1
				s.escapes += s.long[last].Escapes
				s.long, s.isValue = s.long[:last], false
			}
		case ',':
			s.count()
			if s.below == 0 {
				s.named = false
				if s.path == inChoices {
					s.place++
				}
			}
		case '{', '[':
			from = s.open(p, from, i)
		case '}', ']':
			from = s.close(p, from, i)
		case ' ', '\t', '\r', '\n':
		default:
			if s.run = run; run > jsontext.MaxNumber {
				s.stopped, s.overlong = true, true
			}
		}
		i++
	}
	if !s.stopped {
		if s.send(p[from:]); s.inString && s.isLong(0) {
			s.look(len(s.rest))
		}
	}
}

// isLong reports whether the string is a long one with so many bytes that are not in rest
// yet.
func (s *Splitter) isLong(more int) bool {
	return s.begun >= 0 && len(s.rest)+more-s.begun >= jsontext.LongString
}

// look looks at what rest has of a long string, up to end.
func (s *Splitter) look(end int) {
	if s.looked < s.begun {
		s.looked, s.check = s.begun, jsontext.Checker{}
		s.check.Write(quote)
	}
	s.check.Write(s.rest[s.looked:end])
	s.looked = end
}

var quote = []byte{'"'}

// endLong notes the long string that has ended, its closing quote the last of rest.
func (s *Splitter) endLong() {
	end := len(s.rest) - 1
	s.look(end)
	s.check.Write(quote)
	s.broken = s.broken || !s.check.Valid()
	s.long, s.isValue = append(s.long, jsontext.Span{From: s.begun, To: end, Escapes: s.check.Escapes()}), true
}

// count counts a value, the one before a comma or behind a bracket.
func (s *Splitter) count() {
	switch s.to {
	case kept:
		s.values++
	case anEntry:
		s.entryValues++
	}
}

// open takes the opening bracket p[i]; what has not been sent begins at from, and
// what it returns is that from then on.
func (s *Splitter) open(p []byte, from, i int) int {
	switch {
	case s.below > 0:
		s.count()
		s.below++
	case s.leads(p[i]):
		s.count()
		s.path++
		s.named, s.place = false, 0
		if s.path == inEntries {
			s.send(p[from : i+1])
			s.to = between
			return i + 1
		}
	default:
		s.send(p[from:i])
		if s.below, s.to = 1, s.becomes(); s.to == leftOut {
			s.rest = append(s.rest, "null"...)
		}
		s.count()
		return i
	}
	return from
}

// close is open for a closing bracket.
func (s *Splitter) close(p []byte, from, i int) int {
	switch {
	case s.below > 1:
		s.below--
	case s.below == 1:
		s.below = 0
		if s.to == anEntry && len(s.entry) == 0 {
			s.give(p[from : i+1])
		} else if s.send(p[from : i+1]); s.to == anEntry {
			s.give(s.entry)
			s.entry = s.entry[:0]
		}
		if s.to = kept; s.path == inEntries {
			s.to = between
		}
		return i + 1
	case s.path > 0:
		s.named = true
		if s.path--; s.path == inLogprobs {
			s.to = kept
			return i
		}
	}
	return from
}

// send sends a piece where it goes.
func (s *Splitter) send(p []byte) {
	switch s.to {
	case kept:
		if need := len(s.rest) + len(p); need > cap(s.rest) {
			s.rest = jsontext.Grow(s.rest, max(need, 2*cap(s.rest))-len(s.rest))
		}
		s.rest = append(s.rest, p...)
	case anEntry:
		if s.entry = append(s.entry, p...); len(s.entry) > EntryBytes {
			s.give(s.entry)
		}
	}
}

func (s *Splitter) give(entry []byte) { s.stopped = !s.Entry(entry) }

// skip passes what of p is inside of an entry or what is left out, and returns how many
// bytes that is: up to a string that is not short, or the last bracket.
func (s *Splitter) skip(p []byte) int {
	below, values, i := s.below, 0, 0
loop:
	for ; i < len(p); i++ {
		switch p[i] {
		case '"':
			end := i + 1
			for short := min(len(p), i+shortString); end < short && p[end] != '"' && p[end] != '\\'; {
				end++
			}
			if end == len(p) || p[end] != '"' {
				break loop
			}
			i = end
		case ',':
			values++
		case '{', '[':
			values++
			below++
		case '}', ']':
			if below == 1 {
				break loop
			}
			below--
		}
	}
	if s.below = below; s.to == anEntry {
		s.entryValues += values
	}
	return i
}

// shortString is within how many bytes the end of a string is looked for byte by byte.
const shortString = 16

// text takes what of p is inside of a string, its closing quote too, and returns
// how many bytes that is.
func (s *Splitter) text(p []byte) int {
	i := 0
	if s.escaped {
		s.escaped, i = false, 1
	}
	for {
		if i < len(p) && p[i] != '\\' { // escapes are often close to each other
			i += jsontext.Plain(p[i:])
		}
		if i == len(p) || p[i] == '"' {
			break
		}
		if s.begun >= 0 {
			s.within++
		}
		if i += 2; i > len(p) {
			s.escaped, i = true, len(p)
			break
		}
	}
	s.spell(p[:i])
	if i == len(p) {
		return i
	}
	s.inString, s.naming = false, false
	return i + 1
}

// spell adds to the name that is being read. A longer one is none that counts.
func (s *Splitter) spell(p []byte) {
	if s.naming {
		s.name = append(s.name, p[:min(len(p), cap(s.name)-len(s.name))]...)
	}
}

// inObject reports whether the innermost bracket of path is an object's.
func (s *Splitter) inObject() bool {
	return s.path == inAnswer || s.path == inChoice || s.path == inLogprobs
}

// leads reports whether a bracket leads to the entries.
func (s *Splitter) leads(c byte) bool {
	switch s.path {
	case 0:
		return c == '{'
	case inAnswer:
		return c == '[' && string(s.name) == "choices"
	case inChoices:
		return c == '{' && s.place == 0
	case inChoice:
		return c == '{' && string(s.name) == "logprobs"
	case inLogprobs:
		return c == '[' && string(s.name) == "content"
	}
	return false
}

// becomes is what becomes of an array or object that does not lead to the
// entries. A name that is written with escapes may be any.
func (s *Splitter) becomes() part {
	known := bytes.IndexByte(s.name, '\\') >= 0
	switch s.path {
	case inEntries:
		return anEntry
	case inAnswer:
		switch string(s.name) {
		case "choices", "usage", "error", "message":
			known = true
		}
	case inChoices:
		known = s.place == 0
	case inChoice:
		switch string(s.name) {
		case "message", "delta", "finish_reason", "logprobs", "usage", "tool_calls", "function_call":
			known = true
		}
	case inLogprobs:
		known = known || string(s.name) == "content"
	default:
		known = true
	}
	if known {
		return kept
	}
	return leftOut
}
