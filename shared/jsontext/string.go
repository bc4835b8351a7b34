package jsontext

import (
	"bytes"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/valyala/fastjson"
)

// Inside reports whether b may stand between the quotes of a JSON string as it
// is: valid UTF-8, valid escapes, no quote, no control character.
func Inside(b []byte) bool {
	n, ok := InsideOf(b)
	return ok && n == len(b)
}

// InsideOf returns how many bytes of b are the inside of a string, up to its closing
// quote or the end of b, false when they are not valid.
func InsideOf(b []byte) (n int, ok bool) {
	n, ok = plain(b)
	return n, ok && isUTF8(b[:n])
}

// Escapes is Inside, and returns how many escapes b has. It looks no further than one more
// than most; 0 is no limit.
func Escapes(b []byte, most int) (n int, ok bool) {
	s := scanner{lim: Limits{Escapes: most}}
	end, ok := s.plain(b)
	return s.escapes, ok && end == len(b) && isUTF8(b)
}

// isUTF8 is utf8.Valid, which goes by bytes behind the first that is no ASCII.
func isUTF8(b []byte) bool {
	for len(b) > 0 {
		n := 0
		switch {
		case b[0] >= utf8.RuneSelf:
			if n = runes(b); n == 0 {
				return false
			}
		case len(b) < 8:
			n = 1
		default:
			n = bits.TrailingZeros64(Word(b)&highBits) >> 3 // 8 where there is none
		}
		b = b[n:]
	}
	return true
}

// Sum is a sum of a text that may be long: those that have the same are taken for the same.
func Sum(b []byte) uint64 {
	h := uint64(len(b))
	for ; len(b) >= 8; b = b[8:] {
		h = bits.RotateLeft64((h^Word(b))*sumPrime, 32)
	}
	for _, c := range b {
		h = (h ^ uint64(c)) * sumPrime
	}
	return h
}

const sumPrime = 1099511628211

// Plain returns how many bytes of b stand before the first quote or backslash, all of
// them where there is none.
func Plain(b []byte) int {
	i := 0
	for i+8 <= len(b) {
		found := anySpecial(Word(b[i:]))
		if found == 0 {
			i += 8
			continue
		}
		if i += bits.TrailingZeros64(found) >> 3; b[i] >= ' ' {
			return i
		}
		i++
	}
	for i < len(b) && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// Unquoted returns how many bytes of b stand before the first quote or bracket, all of
// them where there is none.
func Unquoted(b []byte) int {
	i := 0
	for i+8 <= len(b) {
		w := Word(b[i:])
		either := w | ones*0x20 // [ and { differ in this bit, as do their closing ones
		if found := anyOf(w, '"') | anyOf(either, '{') | anyOf(either, '}'); found != 0 {
			return i + bits.TrailingZeros64(found)>>3
		}
		i += 8
	}
	for i < len(b) && b[i] != '"' && b[i]|0x20 != '{' && b[i]|0x20 != '}' {
		i++
	}
	return i
}

// AppendRaw appends the escaped inside of the string v, without its quotes. It
// is false, and dst is returned as it was, when v is not a string. It must be
// the first look at v: a string whose type was asked for before has been
// decoded and is escaped again.
func AppendRaw(dst []byte, v *fastjson.Value) ([]byte, bool) {
	if v == nil {
		return dst, false
	}
	if raw := of(v); raw.kind == rawString {
		return append(GrowTwice(dst, len(raw.text)), raw.text...), true
	}
	start := len(dst)
	dst = v.MarshalTo(dst)
	if len(dst) < start+2 || dst[start] != '"' {
		return dst[:start], false
	}
	copy(dst[start:], dst[start+1:len(dst)-1])
	return dst[:len(dst)-2], true
}

const hexDigits = "0123456789abcdef"

// letters are those of the escapes that are written.
var letters = [256]byte{'"': '"', '\\': '\\', '\n': 'n', '\r': 'r', '\t': 't'}

// meanings are what the letters of escapes stand for.
var meanings = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// AppendString appends s as a JSON string. What is not UTF-8 becomes U+FFFD. It is
// not inlined: its copies were 13 KB of the filter.
//
//go:noinline
func AppendString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	dst = AppendEscaped(dst, s)
	return append(dst, '"')
}

// AppendEscaped appends s as the inside of a JSON string, without quotes.
func AppendEscaped[T string | []byte](dst []byte, s T) []byte {
	text := *(*string)(unsafe.Pointer(&s)) // #nosec G103 -- a []byte begins as a string does: one copy of what follows is enough
	dst, _ = AppendText(dst, bytesOf(text))
	return dst
}

// AppendText is AppendEscaped, and reports whether s is text: UTF-8, and without the
// character 0.
func AppendText(dst, s []byte) (_ []byte, isText bool) {
	isText = true
	for i := 0; i < len(s); {
		c := s[i]
		if i+8 <= len(s) && !special[c] && c < utf8.RuneSelf {
			w := Word(s[i:])
			found := anySpecial(w) | w&highBits
			if found == 0 {
				n := plainRun(s[i:])
				dst = append(dst, s[i:i+n]...)
				i += n
				continue
			}
			dst = appendWord(dst, w)
			n := bits.TrailingZeros64(found) >> 3
			dst = dst[:len(dst)-8+n]
			i += n
			c = s[i]
		}
		if c >= utf8.RuneSelf {
			n := runes(s[i:])
			dst = append(dst, s[i:i+n]...)
			if i += n; n == 0 {
				dst, isText = append(dst, "\ufffd"...), false
				i++
			}
			continue
		}
		i++
		switch letter := letters[c]; {
		case !special[c]:
			dst = append(dst, c)
		case letter != 0:
			dst = append(dst, '\\', letter)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			isText = isText && c != 0
		}
	}
	return dst, isText
}

// plainRun returns how many bytes of s stand before the first that is special or no
// ASCII.
func plainRun(s []byte) int {
	i := 0
	for i+8 <= len(s) {
		w := Word(s[i:])
		if found := anySpecial(w) | w&highBits; found != 0 {
			return i + bits.TrailingZeros64(found)>>3
		}
		i += 8
	}
	for i < len(s) && !special[s[i]] && s[i] < utf8.RuneSelf {
		i++
	}
	return i
}

// Rendered returns how many bytes b has up to a quote, and whether they are the inside of a
// string as AppendEscaped writes it.
func Rendered(b []byte) (n int, ok bool) {
	n = rendered(b)
	return n, n < len(b) && b[n] == '"'
}

// rendered returns how many bytes b begins with that AppendEscaped writes so.
func rendered(b []byte) (n int) {
	for {
		found := uint64(0)
		if n+8 <= len(b) { // escapes are often close to each other
			w := Word(b[n:])
			found = anySpecial(w) | w&highBits
		}
		if found != 0 {
			n += bits.TrailingZeros64(found) >> 3
		} else if n += plainRun(b[n:]); n == len(b) {
			return n
		}
		switch c := b[n]; {
		case c == '\\' && n+1 < len(b) && letters[meanings[b[n+1]]] == b[n+1] && b[n+1] != 0:
			n += 2
		case c < utf8.RuneSelf:
			return n
		default:
			size := runes(b[n:])
			if size == 0 {
				return n
			}
			n += size
		}
	}
}

// runes returns how many bytes the characters of several bytes take that b begins with, 0
// when its first is not valid or not all there.
func runes(b []byte) int {
	i := 0
	for i+4 <= len(b) { // those of two bytes and of three
		next := b[i : i+4]
		switch w := uint32(next[0]) | uint32(next[1])<<8 | uint32(next[2])<<16; {
		case w&0xc0e0 == 0x80c0 && w&0x1e != 0:
			i += 2
			continue
		case w&0xc0c0f0 == 0x8080e0 && w&0x200f != 0 && w&0x200f != 0x200d:
			i += 3
			continue
		}
		break
	}
	if i > 0 || len(b) == 0 {
		return i
	}
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError && n == 1 {
		return 0
	}
	return n
}

// Cut returns where the inside of a string can be cut after most bytes, of at least 16:
// neither in a character nor in an escape, and nowhere when it is no longer.
func Cut(b []byte, most int) int {
	if len(b) <= most {
		return len(b)
	}
	n := most
	for n > most-utf8.UTFMax && !utf8.RuneStart(b[n]) {
		n--
	}
	const longest = len(`\u0000`)
	at := bytes.LastIndexByte(b[n-longest:n], '\\') + n - longest
	if at < n-longest {
		return n
	}
	first := at // of the backslashes in a row
	for first > 0 && b[first-1] == '\\' {
		first--
	}
	if (at-first)%2 == 0 { // it begins an escape
		return at
	}
	return n
}

// AppendRepaired appends what almost is the inside of a JSON string as one:
// bytes and escapes that are not valid become U+FFFD. It returns how many fewer than most they
// are; when it is less than 0, there are more, and the rest is not appended.
func AppendRepaired(dst, inside []byte, most int) (_ []byte, left int) {
	for {
		n, _ := plain(inside)
		for valid := inside[:n]; len(valid) > 0; { // but for its UTF-8
			i := 0
			for i+8 <= len(valid) && Word(valid[i:])&highBits == 0 {
				i += 8
			}
			for i < len(valid) && valid[i] < utf8.RuneSelf {
				i++
			}
			i += runes(valid[i:])
			dst = append(dst, valid[:i]...)
			for valid = valid[i:]; len(valid) > 0 && valid[0] >= utf8.RuneSelf && runes(valid) == 0; valid = valid[1:] {
				if most--; most < 0 {
					return dst, most
				}
				dst = append(dst, "\ufffd"...)
			}
		}
		if inside = inside[n:]; len(inside) == 0 {
			return dst, most
		}
		if most--; most < 0 {
			return dst, most
		}
		bad := 1
		switch c := inside[0]; {
		case c == '"' || c < 0x20:
			dst = AppendEscaped(dst, inside[:1])
		default:
			dst = append(dst, "\ufffd"...)
			if len(inside) > 1 && inside[1] == 'u' {
				if _, ok := hex4(inside[2:]); ok {
					bad = 6 // a lone surrogate
				}
			}
		}
		inside = inside[bad:]
	}
}

// AppendValue appends v as JSON. Unlike MarshalTo it is right for values that
// have been looked at: fastjson escapes decoded strings as Go does, which is
// not JSON for all of them. Of a document that Check has not passed see LookAt.
func AppendValue(dst []byte, v *fastjson.Value) []byte {
	if IsString(v) {
		return append(AppendInside(append(dst, '"'), v), '"')
	}
	switch v.Type() {
	case fastjson.TypeArray:
		items, _ := v.Array()
		dst = append(dst, '[')
		for i, item := range items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendValue(dst, item)
		}
		return append(dst, ']')
	case fastjson.TypeObject:
		if text := opaque(v); len(text) > 0 {
			return append(dst, text...)
		}
		o, _ := v.Object()
		dst = append(dst, '{')
		first := true
		o.Visit(func(key []byte, member *fastjson.Value) {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = AppendString(dst, key)
			dst = append(dst, ':')
			dst = AppendValue(dst, member)
		})
		return append(dst, '}')
	default:
		return v.MarshalTo(dst)
	}
}

// AppendInside appends the inside of a string, escaped anew; nothing of another value. A
// long one is appended as it came, unless it has been looked at (see LookAt).
func AppendInside(dst []byte, v *fastjson.Value) []byte {
	if raw, isRaw := rawText(v); isRaw {
		inside := bytesOf(raw)
		if len(inside) >= LongString || rendered(inside) == len(inside) {
			return append(GrowTwice(dst, len(inside)), inside...)
		}
		if text, valid := decoded(inside); valid {
			return AppendEscaped(dst, text)
		}
	}
	return AppendEscaped(dst, v.GetStringBytes())
}

// DecodeOnce decodes a string that AppendInside would decode each time.
func DecodeOnce(v *fastjson.Value) {
	if raw, isRaw := rawText(v); isRaw && len(raw) < LongString && rendered(bytesOf(raw)) < len(raw) {
		Bytes(v)
	}
}

// decoded is Decode for what may have escapes that are none: false. fastjson takes five times
// as long for one.
//
//go:noinline
func decoded(inside []byte) (_ []byte, valid bool) {
	if n, ok := plain(inside); !ok || n < len(inside) {
		return nil, false
	}
	return Decode(nil, inside), true
}

// Bytes returns what a string means; nil for another value. It lives as long as v.
func Bytes(v *fastjson.Value) []byte {
	raw, isRaw := rawText(v)
	if isRaw && strings.IndexByte(raw, '\\') >= 0 {
		if len(raw) >= LongString {
			return Decode(nil, bytesOf(raw))
		}
		if text, valid := decoded(bytesOf(raw)); valid {
			s := of(v)
			s.text, s.kind = textOf(text), fastjson.TypeString
		}
	}
	return v.GetStringBytes()
}

// Start is Bytes for a string that is compared with short ones: of one that is not short it
// is the beginning.
func Start(v *fastjson.Value) []byte {
	if text, isRaw := rawText(v); isRaw && len(text) > startBytes {
		text, _ := DecodePart(nil, bytesOf(text), startBytes)
		return text
	}
	return Bytes(v)
}

const startBytes = 1 << 10

// Decode appends to dst what the inside of a JSON string means. Escaped must
// be valid (see Inside).
func Decode(dst, escaped []byte) []byte {
	dst, _ = DecodePart(dst, escaped, len(escaped))
	return dst
}

// DecodePart is Decode for about the first bytes of a long text, and returns what
// follows them.
func DecodePart(dst, escaped []byte, most int) (_, rest []byte) {
	most = min(most, len(escaped))
	dst = slices.Grow(dst, most+8)
	i := 0
	for i < most {
		if escaped[i] != '\\' && i+8 <= most { // as appendRun
			w := Word(escaped[i:])
			dst = appendWord(dst, w)
			n := bits.TrailingZeros64(anyOf(w, '\\')) >> 3
			dst = dst[:len(dst)-8+n]
			i += n
		}
		if i == most {
			break
		}
		if escaped[i] != '\\' {
			n := 0
			dst, n = appendRun(dst, escaped[i:most])
			i += n
			continue
		}
		if c := meanings[escaped[i+1]]; c != 0 {
			dst = append(dst, c)
			i += 2
			continue
		}
		r, _ := hex4(escaped[i+2:])
		if i += 6; r >= 0xd800 && r < 0xdc00 {
			low, _ := hex4(escaped[i+2:])
			r = (r-0xd800)<<10 | (low - 0xdc00) + 0x10000
			i += 6
		}
		if r >= utf8.RuneSelf && r < 0x800 {
			dst = append(dst, 0xc0|byte(r>>6), 0x80|byte(r&0x3f))
			continue
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, escaped[i:]
}

// Tail returns about the last bytes of a text that is the inside of a JSON string, which is
// one too: it does not begin within an escape. It may begin within a character.
func Tail(inside []byte, most int) []byte {
	at := max(len(inside)-most, 0)
	if escaped(inside[:at]) {
		at++
	}
	return inside[at:]
}

// EscapesOf is Escapes of what is the inside of a JSON string; a surrogate pair is two.
func EscapesOf(inside []byte) (n int) {
	for i := 0; i < len(inside); {
		switch {
		case i+8 <= len(inside):
			found := anyOf(Word(inside[i:]), '\\')
			if found == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(found) >> 3
		case inside[i] != '\\':
			i++
			continue
		}
		n++
		i += 2
	}
	return n
}

// AppendTwice appends the inside of a JSON string, which must be valid, as the inside of
// another one.
func AppendTwice(dst, inside []byte) []byte {
	for {
		n := 0
		dst, n = appendRun(dst, inside)
		if n == len(inside) {
			return dst
		}
		switch c := inside[n+1]; c {
		case '"', '\\':
			dst = append(dst, '\\', '\\', '\\', c)
		default:
			dst = append(dst, '\\', '\\', c)
		}
		inside = inside[n+2:]
	}
}

// appendRun appends what of b stands before its first backslash, and returns how many
// bytes that is.
func appendRun(dst, b []byte) ([]byte, int) {
	if len(b) >= 8 {
		w := Word(b)
		if found := anyOf(w, '\\'); found != 0 { // escapes are often close to each other
			n := bits.TrailingZeros64(found) >> 3
			dst = appendWord(dst, w)
			return dst[:len(dst)-8+n], n
		}
	}
	n := bytes.IndexByte(b, '\\')
	if n < 0 {
		n = len(b)
	}
	return append(dst, b[:n]...), n
}

// null is the one value that fastjson has for every null (a test holds it).
var null = fastjson.MustParse("null")

// IsNull reports whether v is null or absent, without decoding it.
func IsNull(v *fastjson.Value) bool { return v == nil || v == null }
