package translate

import "antwort/shared/jsontext"

// sum is the FNV-1a hash of a text without the blanks around it.
func sum(text []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range trim(text) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// trim cuts the blanks of JSON from both ends of b. Those that only Unicode knows
// are no JSON: text with them passes for none.
func trim(b []byte) []byte {
	b = trimLeft(b)
	for n := len(b); n > 0 && len(trimLeft(b[n-1:])) == 0; n-- {
		b = b[:n-1]
	}
	return b
}

func trimLeft(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\n' || b[0] == '\t' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}

// blanks returns how many blanks b begins with.
func blanks(b []byte) int { return len(b) - len(trimLeft(b)) }

// isWhole reports whether arguments are one JSON text.
func isWhole(arguments []byte) bool {
	n, ok := jsontext.First(arguments)
	return ok && n == len(arguments)
}
