package translate

import (
	"strings"

	"antwort/shared/jsontext"
)

// jsonEnd watches JSON text as it arrives in pieces and tells when one object,
// array or string is complete.
type jsonEnd struct {
	depth            int
	inString, escape bool
	begun, complete  bool
}

// write takes a piece and returns how much of it belongs to the value.
func (e *jsonEnd) write(p []byte) int {
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch {
		case e.complete:
			return i
		case e.escape:
			e.escape = false
		case e.inString:
			if c != '"' && c != '\\' { // they are often close to each other
				if i += jsontext.Plain(p[i:]); i == len(p) {
					return i
				}
				c = p[i]
			}
			switch c {
			case '\\':
				e.escape = true
			case '"':
				e.inString = false
				e.complete = e.depth == 0
			}
		case c == '"':
			e.begun, e.inString = true, true
		case c == '{' || c == '[':
			e.begun = true
			e.depth++
		case c == '}' || c == ']':
			e.depth--
			e.complete = e.begun && e.depth <= 0
		default:
			i += jsontext.Unquoted(p[i:]) - 1
		}
	}
	return len(p)
}

// customInput takes the arguments {"input":"…"} of a lowered custom tool as
// they arrive and gives the input, escaped as it stands in them. Arguments of
// another form are the input themselves: the model meant to say something.
type customInput struct {
	state         customState
	token, letter int    // of the form that come next, before the input
	held          []byte // decoded arguments that are not decided yet
}

type customState uint8

const (
	beforeInput customState = iota
	inInput
	afterInput
	notLowered // the arguments are not {"input":"…"}
)

// write takes a piece of the arguments, decoded, and appends to dst what it
// adds to the input, escaped.
func (c *customInput) write(dst, p []byte) []byte {
	n := 0
	if c.state == beforeInput {
		n = c.begin(p)
	}
	switch c.state {
	case beforeInput:
		c.held = append(c.held, p...)
		return dst
	case afterInput:
		return dst
	case notLowered:
		return jsontext.AppendEscaped(c.release(dst), p)
	}
	c.held = append(c.held, p[n:]...)
	return c.inside(dst)
}

// inputForm is what stands before the input, white space allowed between its tokens.
var inputForm = [...]string{`{`, `"input"`, `:`, `"`}

// begin goes on with the form in p, and returns how much of p stands before the input.
func (c *customInput) begin(p []byte) int {
	for i, b := range p {
		if c.letter == 0 && (b == ' ' || b == '\n' || b == '\r' || b == '\t') {
			continue
		}
		token := inputForm[c.token]
		if b != token[c.letter] {
			c.state = notLowered
			return 0
		}
		if c.letter++; c.letter < len(token) {
			continue
		}
		if c.token, c.letter = c.token+1, 0; c.token == len(inputForm) {
			c.state, c.held = inInput, c.held[:0]
			return i + 1
		}
	}
	return len(p)
}

// inside moves what is decided of the input's string.
func (c *customInput) inside(dst []byte) []byte {
	dst = jsontext.Grow(dst, len(c.held))
	i := 0
	for {
		if run := jsontext.Plain(c.held[i:]); run > 0 { // escapes are often close to each other
			dst = jsontext.AppendEscaped(dst, c.held[i:i+run])
			i += run
		}
		if i == len(c.held) {
			break
		}
		if c.held[i] == '"' {
			c.state = afterInput
			break
		}
		n := escapeLen(c.held[i:])
		if n == 0 {
			break // the rest of the escape is still to come
		}
		if text := c.held[i : i+n]; n == 2 && strings.IndexByte(`"\/bfnrt`, text[1]) >= 0 || n > 2 && jsontext.Inside(text) {
			dst = append(dst, text...)
		} else {
			dst = jsontext.AppendEscaped(dst, text)
		}
		i += n
	}
	c.held = c.held[:copy(c.held, c.held[i:])]
	return dst
}

// escapeLen returns the length of the escape that b starts with, a surrogate
// pair being one, or 0 while it is not all there.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	if b[1] != 'u' {
		return 2
	}
	if len(b) < 6 {
		return 0
	}
	if b[2]|0x20 != 'd' || b[3] < '8' || b[3]|0x20 > 'b' && b[3] > '9' {
		return 6
	}
	switch { // a high surrogate: its low one follows
	case len(b) >= 12:
		if jsontext.Inside(b[:12]) {
			return 12
		}
		return 6
	case len(b) >= 7 && b[6] != '\\', len(b) >= 8 && b[7] != 'u':
		return 6
	default:
		return 0
	}
}

// end appends what was held back when no more arguments come. When they were
// cut, that is the beginning of their form or half an escape, not input.
func (c *customInput) end(dst []byte, cut bool) []byte {
	if c.state == afterInput || cut {
		return dst
	}
	return c.release(dst)
}

func (c *customInput) release(dst []byte) []byte {
	dst = jsontext.AppendEscaped(dst, c.held)
	c.held = c.held[:0]
	return dst
}
