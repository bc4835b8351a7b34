package jsontext

import (
	"bytes"
	"math/bits"
	"strconv"
	"strings"
	"unsafe"

	"github.com/valyala/fastjson"
)

// A Span is where the inside of a string stands in a document: from the byte behind
// its opening quote up to its closing one.
type Span struct {
	From, To int
	Escapes  int // in it, where somebody has counted them
}

// LongString is from how many bytes on a string is long. A parser looks for the end of
// each string once more, escape by escape, which takes a second for all that a request
// may hold: who knows where the long ones end parses the document without them.
//
//	document, spans ─ AppendShort ─► the document without its long strings
//	its tree, document, spans ─ Lengthen ─► the tree of the document
const LongString = 64 << 10

// AppendShort appends a document that Check has passed, with a short name in the place
// of each string of long. Its tree is the document's once Lengthen has seen it.
func AppendShort(dst, doc []byte, long []Span) []byte {
	from := 0
	for i, s := range long {
		dst = append(dst, doc[from:s.From]...)
		dst = append(dst, longName)
		dst = strconv.AppendInt(dst, int64(i), 10)
		dst = append(dst, longName)
		from = s.To
	}
	return append(dst, doc[from:]...)
}

// AppendShortUnchecked is AppendShort for a document that no Check has passed. It is false
// when something else in it has bytes of such names.
func AppendShortUnchecked(dst, doc []byte, long []Span) (_ []byte, ok bool) {
	start := len(dst)
	dst = AppendShort(dst, doc, long)
	left := 2 * len(long)
	for rest := dst[start:]; left >= 0; left-- {
		at := bytes.IndexByte(rest, longName)
		if at < 0 {
			break
		}
		rest = rest[at+1:]
	}
	return dst, left == 0
}

// longName is around the number of a long string. It is no UTF-8, as what a document has
// that Check has passed always is.
const longName = 0xff

// Lengthen puts the long strings back into the tree of a document that AppendShort has
// shortened, and what is opaque in it. The tree has the strings where they lie in doc, which
// changes when one is looked at, for that decodes it there.
func Lengthen(v *fastjson.Value, doc []byte, long []Span, opaque Opaques) {
	l := lengthener{doc: doc, long: long, opaques: opaque}
	l.value(of(v))
}

// ParseInPlace parses text without a copy of it: the tree's strings lie in text, which
// changes when one is looked at.
func ParseInPlace(p *fastjson.Parser, text []byte) (*fastjson.Value, error) {
	own := &(*parser)(unsafe.Pointer(p)).text // #nosec G103 -- a test holds the layout
	room := *own
	*own = text
	v, err := p.ParseBytes(text)
	*own = room
	return v, err
}

// parser is how a fastjson.Parser begins in memory: with the copy that it makes, where there
// is room for it.
type parser struct{ text []byte }

// value is a fastjson.Value as it lies in memory; a test holds it against the real one.
// What fastjson does not tell is whether a string has been decoded, and to ask for its type
// decodes it.
type value struct {
	object struct {
		members   []member
		unescaped bool
	}
	items []*value
	text  string
	kind  fastjson.Type
}

type member struct {
	name  string
	value *value
}

// rawString is a string that is not decoded.
const rawString fastjson.Type = 7

func of(v *fastjson.Value) *value {
	return (*value)(unsafe.Pointer(v)) // #nosec G103 -- the layouts are the same, and a test holds that
}

// IsString reports whether v is a string, without decoding it.
func IsString(v *fastjson.Value) bool {
	return v != nil && (of(v).kind == rawString || of(v).kind == fastjson.TypeString)
}

// IsEmpty reports whether v, a string, is the empty one, without decoding it.
func IsEmpty(v *fastjson.Value) bool { return of(v).text == "" }

// LookAt looks at all long strings of v, so that none is appended as it came where it would
// not be written so: what no Check has passed may be no JSON, though it was parsed.
func LookAt(v *fastjson.Value) { of(v).eachRaw(lookAt) }

func lookAt(s *value) {
	inside := bytesOf(s.text)
	if len(inside) < LongString || rendered(inside) == len(inside) {
		return
	}
	text, valid := decoded(inside)
	if !valid { // as fastjson reads it
		text = (*fastjson.Value)(unsafe.Pointer(s)).GetStringBytes() // #nosec G103 -- as of, the other way
	}
	s.text, s.kind = textOf(text), fastjson.TypeString
}

// Measure returns how many bytes the strings of v have that nobody has looked at, and how
// many backslashes.
func Measure(v *fastjson.Value) (bytes, backslashes int) {
	of(v).eachRaw(func(s *value) {
		bytes += len(s.text)
		backslashes += backslashesOf(bytesOf(s.text))
	})
	return bytes, backslashes
}

// eachRaw calls visit for each string in v that is not decoded.
func (v *value) eachRaw(visit func(*value)) {
	switch v.kind {
	case fastjson.TypeArray:
		for _, item := range v.items {
			item.eachRaw(visit)
		}
	case fastjson.TypeObject:
		for _, m := range v.object.members {
			m.value.eachRaw(visit)
		}
	case rawString:
		visit(v)
	}
}

// backslashesOf counts them eight bytes at a time, which bytes.Count does not in WebAssembly.
func backslashesOf(b []byte) (n int) {
	for ; len(b) >= 8; b = b[8:] {
		n += 8 - bits.OnesCount64(notOf(Word(b), '\\'))
	}
	for _, c := range b {
		if c == '\\' {
			n++
		}
	}
	return n
}

// rawText returns the escaped inside of a string that is not decoded.
func rawText(v *fastjson.Value) (string, bool) {
	if v == nil {
		return "", false
	}
	raw := of(v)
	return raw.text, raw.kind == rawString
}

// longText is rawText of a long string.
func longText(v *fastjson.Value) (string, bool) {
	text, isRaw := rawText(v)
	return text, isRaw && len(text) >= LongString
}

// LongInside is AppendRaw for a long string: its escaped inside, as it lies in memory. It
// is false for another value.
//
//go:noinline
func LongInside(v *fastjson.Value) ([]byte, bool) {
	text, long := longText(v)
	return bytesOf(text), long
}

// LongLength returns how many bytes a long string has that is not decoded, as it is
// written; 0 for another value.
func LongLength(v *fastjson.Value) int {
	if text, long := longText(v); long {
		return len(text)
	}
	return 0
}

type lengthener struct {
	doc     []byte
	long    []Span
	opaques Opaques
}

// value puts back what belongs into v.
func (l *lengthener) value(v *value) {
	switch v.kind {
	case fastjson.TypeArray:
		for _, item := range v.items {
			l.value(item)
		}
	case fastjson.TypeObject:
		members := v.object.members
		if len(members) == 1 && members[0].name == opaqueName {
			l.opaque(members[0].value)
			return
		}
		for _, m := range members {
			l.value(m.value)
		}
	case rawString:
		if len(v.text) > 0 && v.text[0] == longName {
			long, _ := l.named(v.text)
			v.text = textOf(long)
		}
	}
}

// named returns the long string whose name text begins with, and what follows the name.
func (l *lengthener) named(text string) (long []byte, rest string) {
	number, rest, _ := strings.Cut(text[1:], string([]byte{longName}))
	n, _ := strconv.Atoi(number)
	return l.doc[l.long[n].From:l.long[n].To], rest
}

// opaque puts back the text of an opaque value, with what belongs into it.
func (l *lengthener) opaque(v *value) {
	n, _ := strconv.Atoi(v.text)
	rest := textOf(l.opaques[n])
	var text []byte
	for {
		at := strings.IndexByte(rest, longName)
		if at < 0 {
			break
		}
		text = append(text, rest[:at]...)
		var long []byte
		long, rest = l.named(rest[at:])
		text = append(text, long...)
	}
	if v.kind = fastjson.TypeNull; text != nil {
		rest = textOf(append(text, rest...))
	}
	v.text = rest
}

// textOf is a text that nobody else has.
func textOf(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) // #nosec G103 -- nothing is copied
}

// bytesOf is a text that is only read.
func bytesOf(text string) []byte {
	return unsafe.Slice(unsafe.StringData(text), len(text)) // #nosec G103 -- nothing is copied
}
