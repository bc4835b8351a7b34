package jsontext

import (
	"bytes"
	"math/bits"
)

// Members calls visit for each member of an object that Check has passed: with
// the escaped inside of its name, and its value as text, which is
// object[at:at+len(value)]. It stops when visit returns false, and does nothing
// when the value is no object.
func Members(object []byte, visit func(name, value []byte, at int) bool) {
	s, ok := enter(object, '{')
	for ok && s.i < len(s.b) && s.b[s.i] == '"' {
		start := s.i + 1
		if s.str() != nil {
			return
		}
		name := s.b[start : s.i-1]
		s.space()
		s.i++ // the colon
		s.space()
		at := s.i
		if s.value() != nil || !visit(name, s.b[at:s.i], at) {
			return
		}
		s.next()
	}
}

// Elements is Members for an array.
func Elements(array []byte, visit func(value []byte) bool) {
	s, ok := enter(array, '[')
	for ok && s.i < len(s.b) && s.b[s.i] != ']' {
		at := s.i
		if s.value() != nil || !visit(s.b[at:s.i]) {
			return
		}
		s.next()
	}
}

// Values returns how many values a document has that Check has passed, of any kind,
// the members of objects included.
func Values(b []byte) int {
	s := scanner{b: b, lim: Limits{Depth: MaxDepth}, checked: true}
	s.space()
	_ = s.value()
	return s.values
}

// First returns how long the JSON value is that b begins with, white space
// before it included, and false when b does not begin with a whole one. A number
// ends where its digits do.
func First(b []byte) (n int, ok bool) {
	left := mostValues
	return FirstOf(b, &left)
}

// Extent is First for a value whose strings may hold anything: half a surrogate
// pair, which many readers take, or a line end as it is.
func Extent(b []byte) (n int, ok bool) {
	left := mostValues
	return ExtentOf(b, &left)
}

// ExtentOf is Extent for a text of many, which have no more values in all than left at first.
func ExtentOf(b []byte, left *int) (n int, ok bool) { return first(b, true, left) }

// FirstOf is First as ExtentOf is Extent.
func FirstOf(b []byte, left *int) (n int, ok bool) { return first(b, false, left) }

// mostValues is how many values First and Extent go through: what has more is none of them.
const mostValues = 1 << 18

func first(b []byte, checked bool, left *int) (n int, ok bool) {
	s := scanner{b: b, lim: Limits{Depth: MaxDepth, Values: max(*left, 1)}, checked: checked}
	s.space()
	err := s.value()
	if *left -= s.values; err != nil {
		return 0, false
	}
	return s.i, true
}

// Fits reports whether b begins with a value that has no more values in it than most;
// 0 is no limit. Its strings may hold anything, as those of Extent may.
func Fits(b []byte, most int) bool {
	s := scanner{b: b, lim: Limits{Depth: MaxDepth, Values: most}, checked: true}
	s.space()
	return s.value() == nil
}

// enter is a scanner behind the bracket that b begins with.
func enter(b []byte, bracket byte) (*scanner, bool) {
	s := &scanner{b: b, lim: Limits{Depth: MaxDepth}, checked: true}
	s.space()
	if s.i >= len(b) || b[s.i] != bracket {
		return s, false
	}
	s.i++
	s.space()
	return s, true
}

// closingQuote is where the inside of a string ends that Check has passed.
func closingQuote(b []byte) int {
	i := bytes.IndexByte(b, '"')
	switch {
	case i < 0:
		return len(b)
	case !escaped(b[:i]):
		return i
	}
	for i++; i < len(b); {
		if i+8 <= len(b) {
			found := anySpecial(Word(b[i:]))
			if found == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(found) >> 3
		}
		switch b[i] {
		case '"':
			return i
		case '\\':
			i += 2
		default:
			i++
		}
	}
	return len(b)
}

// next goes behind the comma, if there is one.
func (s *scanner) next() {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == ',' {
		s.i++
		s.space()
	}
}

// Text is the escaped inside of a string given as text; false when the value is
// none.
func Text(value []byte) ([]byte, bool) {
	if len(value) < 2 || value[0] != '"' {
		return nil, false
	}
	return value[1 : len(value)-1], true
}
