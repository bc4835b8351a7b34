package translate

import "antwort/shared/jsontext"

// sum is the FNV-1a hash of a text without the blanks around it.
func sum(text []byte) uint64 {
	h := uint64(sumStart)
	for _, c := range trim(text) {
		h = (h ^ uint64(c)) * sumPrime
	}
	return h
}

const (
	sumStart = 14695981039346656037
	sumPrime = 1099511628211
)

// trim cuts the blanks of JSON from both ends of b. Those that only Unicode knows
// are no JSON: text with them passes for none.
//
//go:noinline
func trim(b []byte) []byte {
	b = trimLeft(b)
	n := len(b)
	for n > 0 && isBlank(b[n-1]) {
		n--
	}
	return b[:n]
}

// trimLeft is not inlined: its copies were 3 KB of the filter.
//
//go:noinline
func trimLeft(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
		for len(b) >= 8 && jsontext.Word(b) == eightBlanks {
			b = b[8:]
		}
	}
	return b
}

const eightBlanks = 0x2020202020202020

func isBlank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// blanks returns how many blanks b begins with.
func blanks(b []byte) int { return len(b) - len(trimLeft(b)) }

// isWhole reports whether arguments are one JSON text.
func isWhole(arguments []byte) bool {
	n, ok := jsontext.First(arguments)
	return ok && n == len(arguments)
}

// isOne is isWhole for those of one call of many.
func (l *looks) isOne(arguments []byte) bool {
	n, ok := jsontext.FirstOf(arguments, &l.values)
	return ok && n == len(arguments)
}
