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
	come    int  // bytes of it that had come
}

// ended reports whether the document that body begins with ends where body
// ends, white space aside. Body is all that has come so far. Only bodies that
// end in a closing bracket are scanned, each byte at most once.
func (d *document) ended(body []byte) bool {
	fresh := bytes.TrimRight(body[d.come:], " \t\r\n")
	text := body[:d.come+len(fresh)]
	d.come = len(body)
	if len(fresh) == 0 || fresh[len(fresh)-1] != '}' && fresh[len(fresh)-1] != ']' {
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
		n := 0
		for n < len(p) && p[n] != '"' && p[n] != '\\' {
			n++
		}
		if n == len(p) {
			return n
		}
		d.escaped = p[n] == '\\'
		d.inside = d.escaped
		return n + 1
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
