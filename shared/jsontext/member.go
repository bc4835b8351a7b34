package jsontext

import "bytes"

// LastMember returns the value of the last member of the object b whose key is
// written so, and false when there is none. See Backwards.
func LastMember(b []byte, key string) (value []byte, ok bool) {
	m := NewBackwards(b)
	for m.Next() {
		if string(m.Key) == key {
			return m.Value(), true
		}
	}
	return nil, false
}

// Backwards reads the members of an object, the last one first, and only as far
// as it must: what a long document says at its end costs little. The object must
// be valid JSON; of other text what it returns means nothing.
type Backwards struct {
	Key    []byte // of the member that Next has read, as it is written, without quotes
	Within string // the key of a member of values, which is looked for on the way; empty: none

	b     []byte
	value Span // where the value of that member stands
	found Span // where the value of the last member Within of that stands; empty: there is none
	end   int  // of the next member's value
	more  bool
}

// Value is that of the member that Next has read, as it is written.
func (m *Backwards) Value() []byte { return m.at(m.value) }

// Found is that of the last member Within of the value, empty where there is none.
func (m *Backwards) Found() []byte { return m.at(m.found) }

// at is not inlined: its copies were a kilobyte of the filter.
//
//go:noinline
func (m *Backwards) at(s Span) []byte { return bytes.TrimSpace(m.b[s.From:s.To]) }

// NewBackwards begins at the end of the object b. Of another value it reads
// nothing.
//
//go:noinline
func NewBackwards(b []byte) Backwards {
	end := lastByte(b, len(b))
	return Backwards{b: b, end: end, more: end >= 0 && b[end] == '}'}
}

// Next reads a member, and returns false when there is none.
func (m *Backwards) Next() bool {
	if !m.more {
		return false
	}
	m.more, m.found = false, Span{}
	b, depth := m.b, 0
	end := 0 // of the next member's value in the value
	for i := m.end - 1; i >= 0; i-- {
		switch b[i] {
		case '"':
			if i = openingQuote(b[:i]); i < 0 {
				return false
			}
		case '}', ']':
			if depth == 0 {
				end = i
			}
			depth++
		case '{', '[':
			if depth--; depth < 0 {
				return false
			}
		case ':':
			if depth > 1 || depth == 1 && m.Within == "" {
				continue
			}
			closing := lastByte(b, i)
			if closing < 0 || b[closing] != '"' {
				return false
			}
			opening := openingQuote(b[:closing])
			if opening < 0 {
				return false
			}
			key, before := b[opening+1:closing], lastByte(b, opening)
			if depth == 0 {
				m.Key, m.value, m.end = key, Span{From: i + 1, To: m.end}, before
				m.more = before >= 0 && b[before] == ','
				return true
			}
			if m.found.To == 0 && i < end && string(key) == m.Within { // behind two colons in a row there is no value
				m.found = Span{From: i + 1, To: end}
			}
			i, end = opening, before
		}
	}
	return false
}

// lastByte is where the last byte before end stands that is no white space, -1
// without one.
func lastByte(b []byte, end int) int {
	for end--; end >= 0; end-- {
		switch b[end] {
		case ' ', '\t', '\r', '\n':
		default:
			return end
		}
	}
	return -1
}

// openingQuote returns where the string begins that a quote after b ends, -1 if
// there is no such place. A quote within a string is escaped: an odd number of
// backslashes stands before it.
func openingQuote(b []byte) int {
	i := len(b) - 1
	for short := len(b) - shortString; i >= 0; i-- {
		if b[i] == '"' && (i == 0 || b[i-1] != '\\' || !escaped(b[:i])) {
			return i
		}
		if i == short {
			i -= unquoted(b[:i])
			short = i - shortString
		}
	}
	return -1
}

// unquoted returns how many words at the end of b have no quote, in bytes. It is not
// inlined: a loop within one is slow in WebAssembly.
//
//go:noinline
func unquoted(b []byte) (n int) {
	for n+8 <= len(b) && anyOf(Word(b[len(b)-n-8:]), '"') == 0 {
		n += 8
	}
	return n
}

// escaped reports whether what follows b is escaped.
func escaped(b []byte) bool {
	n := 0
	for n < len(b) && b[len(b)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}
