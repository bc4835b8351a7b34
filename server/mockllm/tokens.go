package mockllm

import (
	"unicode"
	"unicode/utf8"
)

// nextToken is the length in bytes of the first token of s: a word (letters
// and digits) or one other character, each with the space before it.
func nextToken(s string) int {
	i := 0
	if len(s) > 1 && s[0] == ' ' {
		i = 1
	}
	n := i
	for n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			if n == i {
				n += size
			}
			break
		}
		n += size
	}
	return n
}

func countTokens(s string) int {
	n := 0
	for s != "" {
		s = s[nextToken(s):]
		n++
	}
	return n
}
