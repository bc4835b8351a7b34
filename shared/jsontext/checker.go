package jsontext

import (
	"math/bits"
	"unicode/utf8"
)

// A Checker is Check for a document that comes in pieces: it looks at each byte
// once and keeps none. The zero value with Limits is ready to use.
//
// It tells that a document is wrong as soon as Check could; what is wrong, Check
// says about the bytes until then.
type Checker struct {
	Limits Limits

	state   checkState
	wrong   bool
	nested  bool // a bracket has been opened
	depth   int
	values  int
	blanks  int // at the end of what has come, that count for no value yet
	escapes int
	arrays  [(MaxDepth + 64) / 64]uint64 // a bit for each open bracket: an array

	isKey   bool   // the string is a member's name
	long    []Span // the long strings that are values
	base    int    // bytes before those of Write
	from    int    // where the inside of the string begins
	special []byte // an escape, a literal or a rune that has begun; in room
	room    [12]byte
	word    string // the literal that has begun
	digits  int    // bytes of the number that has begun
}

// checkState is what may come next.
type checkState uint8

const (
	anyValue     checkState = iota // white space, a value
	firstElement                   // a value, or the array's end
	firstKey                       // a name, or the object's end
	nextKey                        // a name
	colon
	afterValue // a comma, a closing bracket, or the document's end
	inString
	inEscape
	inRune    // a character of several bytes, in a string
	strayRune // the same where none may be
	inLiteral
	afterMinus
	afterZero
	inInteger
	afterPoint
	inFraction
	afterE
	afterESign
	inExponent
)

// Write takes the next bytes. It is false when the document is wrong.
func (c *Checker) Write(p []byte) bool {
	if len(p) > 0 && p[0] > ' ' {
		c.blanks = 0
	}
	for i := 0; i < len(p) && !c.wrong; {
		if c.state == inString {
			i += c.text(p[i:])
			c.said(c.base + i)
			continue
		}
		if c.state <= afterValue && p[i] <= ' ' {
			if n := blanks(p[i:]); n > 0 {
				i += n
				c.blank(n, i == len(p))
				continue
			}
		}
		if c.take(p[i]) {
			if i++; c.from < 0 {
				c.from = c.base + i
			}
		}
	}
	c.base += len(p)
	return !c.wrong
}

// Long returns where the long strings are that are values, in their order.
func (c *Checker) Long() []Span { return c.long }

// said looks at the string that has come up to the byte at, where its closing quote may
// stand. One that is in the middle of a character is looked at with its next bytes.
func (c *Checker) said(at int) {
	switch c.state {
	case inEscape, inRune:
		return
	case afterValue, colon:
		at--
	}
	switch n := at - c.from; {
	case c.isKey:
		if c.state == colon {
			c.count(n / wordBytes)
		}
		c.wrong = c.wrong || c.Limits.Name > 0 && n > c.Limits.Name
	case c.state == afterValue && n >= LongString:
		c.long = append(c.long, Span{From: c.from, To: at})
	}
}

// Complete reports whether the document is an object or an array that has ended.
// It is valid until something else than white space follows.
func (c *Checker) Complete() bool {
	return !c.wrong && c.state == afterValue && c.nested && c.depth == 0
}

// Valid reports whether the bytes until now are a document.
func (c *Checker) Valid() bool {
	if c.wrong || c.depth > 0 {
		return false
	}
	switch c.state {
	case afterValue:
		return true
	case afterZero, inInteger, inFraction, inExponent:
		return c.Limits.Values <= 0 || c.values+c.digits/wordBytes <= c.Limits.Values
	}
	return false
}

// Wrong reports whether the document is wrong already, whatever follows.
func (c *Checker) Wrong() bool { return c.wrong }

// Values returns how many values have begun, of any kind, the members of objects
// included, and each wordBytes of a name or a number, and each blankBytes of white space.
func (c *Checker) Values() int { return c.values }

// Escapes returns how many escapes have come, a surrogate pair being one.
func (c *Checker) Escapes() int { return c.escapes }

// text takes what of p is inside of a string, and returns how many bytes that is.
func (c *Checker) text(p []byte) int {
	i := 0
	for {
		found := uint64(0)
		if i+8 <= len(p) { // escapes are often close to each other
			w := Word(p[i:])
			found = anySpecial(w) | w&highBits
		}
		if found != 0 {
			i += bits.TrailingZeros64(found) >> 3
		} else if i += plainRun(p[i:]); i == len(p) {
			return i
		}
		switch b := p[i]; {
		case b == '"':
			c.endString()
			return i + 1
		case b == '\\':
			if c.escapes++; c.Limits.Escapes > 0 && c.escapes > c.Limits.Escapes {
				c.wrong = true
				return i
			}
			if i+1 < len(p) && meanings[p[i+1]] != 0 {
				i += 2
				continue
			}
			n := escape(p[i:])
			if n == 0 {
				c.begin(inEscape, b)
				return i + 1
			}
			i += n
		case b < ' ':
			c.wrong = true
			return i
		default:
			n := runes(p[i:])
			if n == 0 && utf8.FullRune(p[i:]) {
				c.wrong = true
				return i
			}
			if n == 0 {
				c.begin(inRune, b)
				return i + 1
			}
			i += n
		}
	}
}

func (c *Checker) begin(state checkState, b byte) {
	c.state = state
	c.special = append(c.room[:0], b)
}

func (c *Checker) endString() {
	if c.state = afterValue; c.isKey {
		c.state = colon
	}
}

// count counts what is n values.
func (c *Checker) count(n int) {
	c.values += n
	c.wrong = c.wrong || c.Limits.Values > 0 && c.values > c.Limits.Values
}

// blank counts white space, of which more may follow when it is last of what has come.
func (c *Checker) blank(n int, last bool) {
	n += c.blanks
	c.count(n / blankBytes)
	c.blanks = 0
	if last {
		c.blanks = n % blankBytes
	}
}

// take takes one byte. It is false when the byte is still to be taken, in another
// state.
func (c *Checker) take(b byte) bool {
	if b >= utf8.RuneSelf && c.state != inEscape && c.state != inRune && c.state != strayRune {
		c.begin(strayRune, b)
		c.wrong = utf8.FullRune(c.special)
		return true
	}
	switch c.state {
	case inEscape:
		return c.escape(b)
	case inRune:
		c.special = append(c.special, b)
		if utf8.FullRune(c.special) {
			c.state, c.wrong = inString, !utf8.Valid(c.special)
		}
		return true
	case strayRune:
		c.special = append(c.special, b)
		c.wrong = utf8.FullRune(c.special)
		return true
	case inLiteral:
		if b != c.word[0] {
			return c.fail()
		}
		if c.word = c.word[1:]; c.word == "" {
			c.state = afterValue
		}
		return true
	case afterMinus, afterZero, inInteger, afterPoint, inFraction, afterE, afterESign, inExponent:
		taken := c.number(b)
		if taken && !c.wrong {
			c.digits++
			c.wrong = c.Limits.Number > 0 && c.digits > c.Limits.Number
		}
		return taken
	}
	switch c.state {
	case firstElement:
		if b == ']' {
			return c.close(b)
		}
		return c.value(b)
	case firstKey, nextKey:
		if b == '}' && c.state == firstKey {
			return c.close(b)
		}
		if b != '"' {
			return c.fail()
		}
		c.state, c.isKey, c.from = inString, true, -1
	case colon:
		if b != ':' {
			return c.fail()
		}
		c.state = anyValue
	case afterValue:
		switch {
		case c.depth == 0:
			return c.fail()
		case b == ']' || b == '}':
			return c.close(b)
		case b != ',':
			return c.fail()
		case c.inArray():
			c.state = anyValue
		default:
			c.state = nextKey
		}
	default:
		return c.value(b)
	}
	return true
}

func (c *Checker) fail() bool {
	c.wrong = true
	return true
}

// value begins a value.
func (c *Checker) value(b byte) bool {
	if c.count(1); c.wrong {
		return true
	}
	switch {
	case b == '"':
		c.state, c.isKey, c.from = inString, false, -1
	case b == '{' || b == '[':
		return c.open(b)
	case b == '-':
		c.state, c.digits = afterMinus, 1
	case b == '0':
		c.state, c.digits = afterZero, 1
	case b >= '1' && b <= '9':
		c.state, c.digits = inInteger, 1
	case b == 't':
		c.state, c.word = inLiteral, "rue"
	case b == 'f':
		c.state, c.word = inLiteral, "alse"
	case b == 'n':
		c.state, c.word = inLiteral, "ull"
	default:
		return c.fail()
	}
	return true
}

func (c *Checker) open(b byte) bool {
	most := c.Limits.Depth
	if most <= 0 || most > MaxDepth {
		most = MaxDepth
	}
	if c.depth == most {
		return c.fail()
	}
	bit := uint64(1) << (c.depth % 64)
	if b == '[' {
		c.arrays[c.depth/64] |= bit
		c.state = firstElement
	} else {
		c.arrays[c.depth/64] &^= bit
		c.state = firstKey
	}
	c.depth++
	c.nested = true
	return true
}

// inArray reports whether the innermost open bracket is an array's.
func (c *Checker) inArray() bool {
	at := c.depth - 1
	return c.arrays[at/64]>>(at%64)&1 == 1
}

func (c *Checker) close(b byte) bool {
	if c.inArray() != (b == ']') {
		return c.fail()
	}
	c.depth--
	c.state = afterValue
	return true
}

// escape takes a byte of an escape, a surrogate pair being one.
func (c *Checker) escape(b byte) bool {
	c.special = append(c.special, b)
	e := c.special
	switch n := len(e); {
	case n == 2 && b != 'u', n == 12:
		c.state, c.wrong = inString, escape(e) != n
	case n == 6:
		if r, ok := hex4(e[2:]); ok && r >= 0xd800 && r < 0xdc00 {
			return true // the other half follows
		}
		c.state, c.wrong = inString, escape(e) != n
	case n == 7:
		c.wrong = b != '\\'
	case n == 8:
		c.wrong = b != 'u'
	}
	return true
}

// number takes a byte of a number, or ends it.
func (c *Checker) number(b byte) bool {
	digit := b >= '0' && b <= '9'
	next := c.state
	switch c.state {
	case afterMinus:
		if next = inInteger; b == '0' {
			next = afterZero
		}
	case afterPoint:
		next = inFraction
	case afterE:
		if next = inExponent; b == '+' || b == '-' {
			c.state = afterESign
			return true
		}
	case afterESign:
		next = inExponent
	}
	if digit && c.state != afterZero {
		c.state = next
		return true
	}
	switch {
	case c.state == afterMinus || c.state == afterPoint || c.state == afterE || c.state == afterESign:
		return c.fail()
	case b == '.' && (c.state == afterZero || c.state == inInteger):
		c.state = afterPoint
	case (b == 'e' || b == 'E') && c.state != inExponent:
		c.state = afterE
	default: // the number is over
		c.state = afterValue
		c.count(c.digits / wordBytes)
		return c.wrong
	}
	return true
}
