// Package jsontext works on JSON as text, without decoding it: it checks a
// document strictly (RFC 8259, UTF-8, no lone surrogates, depth and count
// limits) and moves strings from one document into another in their escaped
// form. A string that is only moved is never unescaped and escaped again.
//
//	bytes, whole or in pieces ─► Check, Checker ─► right, or what is wrong and where
//	a document ─► Members, Elements ─► parts of it, as they stand
//
// Texts of any origin enter; nothing is kept of them.
package jsontext

import (
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// Limits bounds a document. Zero means no limit of that kind, except that
// nesting never exceeds MaxDepth.
type Limits struct {
	Depth   int // nested arrays and objects
	Values  int // values of any kind, the members of objects included, each wordBytes of a name or a number, and each blankBytes of white space in one place
	Escapes int // escapes in strings and names, a surrogate pair being one
	Name    int // bytes of the name of a member, as it is written
	Number  int // bytes of a number
}

// wordBytes of a member's name or of a number count as a value, and blankBytes of white space
// between two tokens: a parser reads them byte by byte, and keeps names.
const (
	wordBytes  = 64
	blankBytes = 32
)

// MaxNumber is the longest number that a request or an answer may have, in bytes. One of 30 MB
// is parsed, and compared, digit by digit.
const MaxNumber = 1 << 10

// MaxDepth is the deepest nesting that Check accepts whatever the limits say:
// what fastjson parses.
const MaxDepth = 300

// A SyntaxError says what is wrong with a document, and where.
type SyntaxError struct {
	Offset  int    // bytes from the start of the document
	Problem string // for example "unexpected end"
	Limit   bool   // a limit was exceeded; the text itself may be valid JSON
}

func (e *SyntaxError) Error() string {
	return e.Problem + " at byte " + strconv.Itoa(e.Offset)
}

// Check reports whether b is exactly one JSON value within the limits,
// surrounded by nothing but white space. The error is a *SyntaxError.
func Check(b []byte, lim Limits) error {
	_, err := Count(b, lim)
	return err
}

// Count is Check, and returns how many values the document has, as Values does.
func Count(b []byte, lim Limits) (values int, err error) { return count(b, 0, lim) }

// CheckRest is Check for a document of which a Checker has passed the first bytes, this many.
func CheckRest(b []byte, passed int, lim Limits) error {
	_, err := count(b, passed, lim)
	return err
}

// count is Count; characters that have passed are not looked at again.
func count(b []byte, passed int, lim Limits) (values int, err error) {
	if passed > 0 { // to where the last of them begins, which may not have ended
		for passed--; passed > 0 && !utf8.RuneStart(b[passed]); passed-- {
		}
	}
	if !utf8.Valid(b[passed:]) {
		at := passed + validUTF8(b[passed:])
		if _, err := check(b[:at], lim); err != nil && err.Offset < at {
			return 0, err // comes first
		}
		return 0, &SyntaxError{Offset: at, Problem: "invalid UTF-8"}
	}
	values, problem := check(b, lim)
	if problem != nil {
		return 0, problem
	}
	return values, nil
}

func check(b []byte, lim Limits) (values int, err *SyntaxError) {
	if lim.Depth <= 0 || lim.Depth > MaxDepth {
		lim.Depth = MaxDepth
	}
	var s scanner
	s.b, s.lim = b, lim
	s.space()
	if err := s.value(); err != nil {
		return 0, err
	}
	s.space()
	if s.i < len(b) {
		return 0, s.fail("unexpected data after the JSON value")
	}
	return s.values, nil
}

// validUTF8 returns how many bytes b begins with that are valid UTF-8.
func validUTF8(b []byte) (n int) {
	for n < len(b) {
		for n+8 <= len(b) {
			if found := Word(b[n:]) & highBits; found != 0 {
				n += bits.TrailingZeros64(found) >> 3
				break
			}
			n += 8
		}
		for n < len(b) && b[n] < utf8.RuneSelf {
			n++
		}
		size := runes(b[n:])
		if size == 0 {
			break
		}
		n += size
	}
	return n
}

type scanner struct {
	b             []byte
	i             int
	depth, values int
	escapes       int
	lim           Limits
	checked       bool // strings are known to be right
}

func (s *scanner) fail(problem string) *SyntaxError {
	if s.hasMany() {
		return s.manyValues()
	}
	return &SyntaxError{Offset: s.i, Problem: problem}
}

func (s *scanner) space() {
	if s.i < len(s.b) && s.b[s.i] <= ' ' {
		n := blanks(s.b[s.i:])
		if s.values += n / blankBytes; s.hasMany() {
			s.b = s.b[:s.i] // whatever is looked for is not there
			return
		}
		s.i += n
	}
}

// blanks returns how many bytes of white space b begins with. It is not inlined: a loop
// within one is slow in WebAssembly.
//
//go:noinline
func blanks(b []byte) (n int) {
	for n < len(b) {
		switch b[n] {
		case ' ', '\t', '\n', '\r':
		default:
			return n
		}
		n++
		for n+8 <= len(b) {
			w := Word(b[n:])
			if notOf(w, ' ')&notOf(w, '\n')&notOf(w, '\t')&notOf(w, '\r') != 0 {
				break
			}
			n += 8
		}
	}
	return n
}

func (s *scanner) value() *SyntaxError {
	if s.values++; s.hasMany() {
		return s.manyValues()
	}
	if s.i >= len(s.b) {
		return s.fail("unexpected end of JSON")
	}
	switch c := s.b[s.i]; {
	case c == '"':
		return s.str()
	case c == '{':
		return s.nested('}')
	case c == '[':
		return s.nested(']')
	case c == '-' || c >= '0' && c <= '9':
		from := s.i
		err := s.number()
		if s.lim.Number > 0 && s.i-from > s.lim.Number {
			return &SyntaxError{Offset: from, Limit: true, Problem: "a number of more than " + strconv.Itoa(s.lim.Number) + " bytes"}
		}
		return s.counts(s.i-from, err)
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	default:
		return s.fail("unexpected character " + strconv.QuoteRune(firstRune(s.b[s.i:])))
	}
}

// hasMany reports whether there are more values than the limit.
func (s *scanner) hasMany() bool { return s.lim.Values > 0 && s.values > s.lim.Values }

func (s *scanner) manyValues() *SyntaxError {
	return &SyntaxError{Offset: s.i, Limit: true, Problem: "more than " + strconv.Itoa(s.lim.Values) + " JSON values"}
}

func firstRune(b []byte) rune {
	r, _ := utf8.DecodeRune(b)
	return r
}

// nested scans an object or an array that ends with the given bracket.
func (s *scanner) nested(end byte) *SyntaxError {
	if s.depth++; s.depth > s.lim.Depth {
		return &SyntaxError{Offset: s.i, Limit: true, Problem: "nested deeper than " + strconv.Itoa(s.lim.Depth) + " levels"}
	}
	s.i++
	s.space()
	if s.i < len(s.b) && s.b[s.i] == end {
		s.i++
		s.depth--
		return nil
	}
	for {
		if end == '}' {
			if s.i >= len(s.b) || s.b[s.i] != '"' {
				return s.fail("expected a string as object key")
			}
			if err := s.name(); err != nil {
				return err
			}
			s.space()
			if s.i >= len(s.b) || s.b[s.i] != ':' {
				return s.fail("expected ':' after an object key")
			}
			s.i++
			s.space()
		}
		if err := s.value(); err != nil {
			return err
		}
		s.space()
		if s.i >= len(s.b) {
			return s.fail("unexpected end of JSON")
		}
		switch s.b[s.i] {
		case end:
			s.i++
			s.depth--
			return nil
		case ',':
			s.i++
			s.space()
		default:
			return s.fail("expected ',' or '" + string(rune(end)) + "'")
		}
	}
}

func (s *scanner) word(w string) *SyntaxError {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return s.fail("invalid literal, expected " + w)
	}
	s.i += len(w)
	return nil
}

func (s *scanner) number() *SyntaxError {
	if s.b[s.i] == '-' {
		s.i++
	}
	if s.i < len(s.b) && s.b[s.i] == '0' {
		s.i++
	} else if !s.digits() {
		return s.fail("invalid number")
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		if !s.digits() {
			return s.fail("invalid number")
		}
	}
	if s.i < len(s.b) && (s.b[s.i] == 'e' || s.b[s.i] == 'E') {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if !s.digits() {
			return s.fail("invalid number")
		}
	}
	return nil
}

// IsNumber reports whether b is a number as JSON has it.
func IsNumber(b []byte) bool { return len(b) > 0 && Number(b) == len(b) }

// Number returns how long the number is that b begins with, 0 when it begins with none, or
// with one that is broken.
func Number(b []byte) int {
	if len(b) > 3 { // a short one, as most are
		for n, c := range b[:4] {
			if c < '0' || c > '9' {
				if (c == ',' || c == ']') && (b[0] != '0' || n == 1) {
					return n
				}
				break
			}
		}
	}
	s := scanner{b: b}
	if len(b) == 0 || s.number() != nil {
		return 0
	}
	return s.i
}

func (s *scanner) digits() bool {
	n := digitRun(s.b[s.i:])
	s.i += n
	return n > 0
}

// digitRun returns how many digits b begins with.
func digitRun(b []byte) (n int) {
	for n+8 <= len(b) {
		x := Word(b[n:]) ^ ones*'0' // a digit is less than 10
		if found := (x + ones*(0x80-10) | x) & highBits; found != 0 {
			return n + bits.TrailingZeros64(found)>>3
		}
		n += 8
	}
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	return n
}

// name scans the name of a member, s.i at its opening quote.
func (s *scanner) name() *SyntaxError {
	from := s.i + 1
	err := s.str()
	n := s.i - from
	if err == nil {
		n-- // the closing quote
	}
	if s.lim.Name > 0 && n > s.lim.Name {
		return &SyntaxError{Offset: from, Limit: true, Problem: "a name of more than " + strconv.Itoa(s.lim.Name) + " bytes"}
	}
	return s.counts(n, err)
}

// counts counts what a name or a number of n bytes, read with err, is more than one value.
func (s *scanner) counts(n int, err *SyntaxError) *SyntaxError {
	if s.values += n / wordBytes; err == nil && s.hasMany() {
		return s.manyValues()
	}
	return err
}

// str scans a string, s.i at its opening quote.
func (s *scanner) str() *SyntaxError {
	s.i++
	i, soon := s.i, len(s.b)
	if s.checked {
		soon = min(soon, s.i+shortString)
	}
	for i+8 <= soon { // most strings have no escape, and end here
		found := anySpecial(Word(s.b[i:]))
		if found == 0 {
			i += 8
			continue
		}
		if i += bits.TrailingZeros64(found) >> 3; s.b[i] != '"' {
			break
		}
		s.i = i + 1
		return nil
	}
	s.i = i
	n, ok := 0, true
	if s.checked {
		n = closingQuote(s.b[s.i:])
	} else {
		n, ok = s.plain(s.b[s.i:])
	}
	s.i += n
	switch {
	case !ok && s.lim.Escapes > 0 && s.escapes > s.lim.Escapes:
		return &SyntaxError{Offset: s.i, Limit: true, Problem: "more than " + strconv.Itoa(s.lim.Escapes) + " escapes"}
	case !ok:
		return s.fail("invalid string: " + badByte(s.b[s.i:]))
	}
	if s.i >= len(s.b) {
		return s.fail("unterminated string")
	}
	s.i++
	return nil
}

// shortString is within how many bytes the end of a string is looked for word by word
// where nothing else is of interest; further on it is found faster by itself.
const shortString = 64

// badByte says what is wrong with the byte that b begins with, inside a string.
func badByte(b []byte) string {
	switch {
	case b[0] < 0x20:
		return "unescaped control character " + strconv.QuoteRune(rune(b[0]))
	case len(b) > 1 && b[1] == 'u':
		if _, ok := hex4(b[2:]); ok {
			return "lone surrogate " + string(b[:6]) + ", half of a pair,"
		}
		return "\\u without four hexadecimal digits"
	case len(b) > 1 && b[1] < utf8.RuneSelf: // of another character a part may have come
		return "unknown escape \\" + string(b[1:2])
	default:
		return "a backslash without what it escapes"
	}
}

// special are the bytes that do not stand for themselves inside a string.
var special = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

// Word is the first eight bytes of b in one step, the first of them lowest.
func Word[T string | []byte](b T) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// putWord is Word the other way, appendWord likewise.
func putWord(b []byte, w uint64) {
	_ = b[7]
	b[0], b[1], b[2], b[3] = byte(w), byte(w>>8), byte(w>>16), byte(w>>24)      //nolint:gosec // byte by byte
	b[4], b[5], b[6], b[7] = byte(w>>32), byte(w>>40), byte(w>>48), byte(w>>56) //nolint:gosec // byte by byte
}

func appendWord(dst []byte, w uint64) []byte {
	return append(dst, byte(w), byte(w>>8), byte(w>>16), byte(w>>24), byte(w>>32), byte(w>>40), byte(w>>48), byte(w>>56)) //nolint:gosec // byte by byte
}

// ones has the lowest bit of each of its bytes, highBits the highest.
const (
	ones     = 0x0101010101010101
	highBits = ones << 7
)

// anySpecial is not zero when one of the eight bytes of w is special ("Bit
// Twiddling Hacks", hasless). With its second bit turned a quote is 0x20, the
// byte that follows the control characters.
func anySpecial(w uint64) uint64 {
	quote, backslash := w^ones*2, w^ones*'\\'
	return ((quote - ones*0x21) | (backslash - ones)) &^ w & highBits
}

// anyOf is not zero when one of the eight bytes of w is c, which is ASCII.
func anyOf(w uint64, c byte) uint64 {
	x := w ^ ones*uint64(c)
	return (x - ones) &^ x & highBits
}

// notOf has the highest bit of each byte of w that is not c, which is ASCII.
func notOf(w uint64, c byte) uint64 {
	x := w ^ ones*uint64(c)
	return ((x&^highBits + (highBits - ones)) | x) & highBits
}

// plain returns how many bytes of b are the inside of a string: up to a quote
// or the end of b. It is false at the first byte that may not stand there.
func plain(b []byte) (int, bool) {
	var s scanner
	return s.plain(b)
}

// plain is the function of this name for a string of a document: its escapes count.
func (s *scanner) plain(b []byte) (int, bool) {
	i := 0
	for {
		for i+8 <= len(b) {
			found := anySpecial(Word(b[i:]))
			if found != 0 {
				i += bits.TrailingZeros64(found) >> 3
				break
			}
			i += 8
		}
		for i < len(b) && !special[b[i]] {
			i++
		}
		if i == len(b) || b[i] == '"' {
			return i, true
		}
		n := 0
		if b[i] == '\\' {
			s.escapes++
			switch {
			case s.lim.Escapes > 0 && s.escapes > s.lim.Escapes:
			case i+1 < len(b) && meanings[b[i+1]] != 0:
				n = 2
			default:
				n = escape(b[i:])
			}
		}
		if n == 0 {
			return i, false
		}
		i += n
	}
}

// escape returns the length of the escape sequence that b starts with, a
// surrogate pair being one; 0 when it is not a valid one.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	if meanings[b[1]] != 0 {
		return 2
	}
	if b[1] == 'u' {
		r, ok := hex4(b[2:])
		switch {
		case !ok, r >= 0xdc00 && r < 0xe000:
			return 0
		case r < 0xd800 || r >= 0xe000:
			return 6
		}
		if len(b) < 12 || b[6] != '\\' || b[7] != 'u' {
			return 0
		}
		if low, ok := hex4(b[8:]); ok && low >= 0xdc00 && low < 0xe000 {
			return 12
		}
	}
	return 0
}

// hex4 reads the four digits of an escape.
func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	a, c, d, e := digits[b[0]], digits[b[1]], digits[b[2]], digits[b[3]]
	return rune(a)<<12 | rune(c)<<8 | rune(d)<<4 | rune(e), a|c|d|e < 16
}

// digits are what hexadecimal digits stand for; of other bytes it is more than one may.
var digits = func() (t [256]byte) {
	for c := range t {
		t[c] = 0xff
	}
	for i, c := range []byte(hexDigits) {
		t[c] = byte(i)
	}
	for i, c := range []byte("ABCDEF") {
		t[c] = byte(10 + i)
	}
	return t
}()
