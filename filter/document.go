package filter

import "bytes"

// document finds the end of a JSON document in a body whose length is not
// known: with HTTP trailers the end of the stream comes too late to send a body
// (the trailers callback cannot). It counts brackets and skips strings; whether
// the text is valid is for others to say.
type document struct {
	depth   int
	begun   bool
	inside  bool // within a string
	escaped bool // after a backslash in it
	seen    int  // bytes of the body that were scanned
}

// ended reports whether the document that body begins with ends where body
// ends, white space aside. Body is all that has come so far. Only bodies that
// end in a closing bracket are scanned, each byte at most once.
func (d *document) ended(body []byte) bool {
	text := bytes.TrimRight(body, " \t\r\n")
	if len(text) == 0 || text[len(text)-1] != '}' && text[len(text)-1] != ']' || len(text) <= d.seen {
		return false
	}
	for p := text[d.seen:]; len(p) > 0; {
		p = p[d.step(p):]
	}
	d.seen = len(text)
	return d.begun && d.depth == 0 && !d.inside
}

// step takes the next bytes and returns how many.
func (d *document) step(p []byte) int {
	c := p[0]
	switch {
	case d.escaped:
		d.escaped = false
	case d.inside:
		n := bytes.IndexByte(p, '"')
		if n < 0 {
			n = len(p)
		}
		if slash := bytes.IndexByte(p[:n], '\\'); slash >= 0 {
			d.escaped = true
			return slash + 1
		}
		d.inside = n == len(p)
		return min(n+1, len(p))
	case c == '"':
		d.inside = true
	case c == '{' || c == '[':
		d.depth++
		d.begun = true
	case c == '}' || c == ']':
		d.depth--
	}
	return 1
}
