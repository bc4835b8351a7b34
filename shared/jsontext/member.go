package jsontext

import "bytes"

// LastMember returns the value of the last member of the object b whose key is
// written so, and false when there is none. It reads backwards, and only as far
// as it must: what a long document says at its end costs little. b must be
// valid JSON; of other text the result means nothing.
func LastMember(b []byte, key string) (value []byte, ok bool) {
	b = bytes.TrimRight(b, whiteSpace)
	if len(b) == 0 || b[len(b)-1] != '}' {
		return nil, false
	}
	depth := 0
	end := len(b) - 1 // of the member's value
	for i := len(b) - 1; i >= 0; i-- {
		switch b[i] {
		case '"':
			if i = openingQuote(b[:i]); i < 0 {
				return nil, false
			}
		case '}', ']':
			depth++
		case '{', '[':
			if depth--; depth == 0 {
				return nil, false
			}
		case ',':
			if depth == 1 {
				end = i
			}
		case ':':
			if depth == 1 && endsWithString(b[:i], key) {
				return bytes.Trim(b[i+1:end], whiteSpace), true
			}
		}
	}
	return nil, false
}

const whiteSpace = " \t\r\n"

// openingQuote returns where the string begins that a quote after b ends, -1 if
// there is no such place. A quote within a string is escaped: an odd number of
// backslashes stands before it.
func openingQuote(b []byte) int {
	for {
		i := bytes.LastIndexByte(b, '"')
		if i < 0 || !escaped(b[:i]) {
			return i
		}
		b = b[:i]
	}
}

// escaped reports whether what follows b is escaped.
func escaped(b []byte) bool {
	n := 0
	for n < len(b) && b[len(b)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// endsWithString reports whether b ends with this string, white space aside.
func endsWithString(b []byte, s string) bool {
	b = bytes.TrimRight(b, whiteSpace)
	start := len(b) - len(s) - 2
	return start >= 0 && b[start] == '"' && b[len(b)-1] == '"' && string(b[start+1:len(b)-1]) == s && !escaped(b[:start])
}
