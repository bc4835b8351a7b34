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
	Key []byte // of the member that Next has read, as it is written, without quotes

	b     []byte
	value [2]int // where its value stands
	end   int    // of the next member's value
	more  bool
}

// Value is that of the member that Next has read, as it is written.
func (m *Backwards) Value() []byte { return bytes.TrimSpace(m.b[m.value[0]:m.value[1]]) }

// NewBackwards begins at the end of the object b. Of another value it reads
// nothing.
func NewBackwards(b []byte) Backwards {
	end := lastByte(b, len(b))
	return Backwards{b: b, end: end, more: end >= 0 && b[end] == '}'}
}

// Next reads a member, and returns false when there is none.
func (m *Backwards) Next() bool {
	if !m.more {
		return false
	}
	m.more = false
	b, depth := m.b, 0
	for i := m.end - 1; i >= 0; i-- {
		switch b[i] {
		case '"':
			if i = openingQuote(b[:i]); i < 0 {
				return false
			}
		case '}', ']':
			depth++
		case '{', '[':
			if depth--; depth < 0 {
				return false
			}
		case ':':
			if depth == 0 {
				return m.member(i)
			}
		}
	}
	return false
}

// member reads the member that has its colon there.
func (m *Backwards) member(colon int) bool {
	b := m.b
	closing := lastByte(b, colon)
	if closing < 0 || b[closing] != '"' {
		return false
	}
	opening := openingQuote(b[:closing])
	if opening < 0 {
		return false
	}
	m.Key, m.value = b[opening+1:closing], [2]int{colon + 1, m.end}
	m.end = lastByte(b, opening)
	m.more = m.end >= 0 && b[m.end] == ','
	return true
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
