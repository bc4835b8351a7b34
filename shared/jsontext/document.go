package jsontext

import (
	"math"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// A Document is a JSON text with an index of its values. Its memory is used
// again by the next Parse; what was read from it is then valid no longer. The
// text is not copied.
type Document struct {
	text   []byte
	strict bool   // the text is JSON to the letter
	nodes  []node // in the order of the text
}

// node is a value: where it stands in the text, and what follows it.
type node struct {
	kind       Kind
	escaped    bool  // a string with a backslash
	keyEscaped bool  // its key has one
	key        int32 // where the inside of its key begins, in an object
	keyEnd     int32
	at         int32 // of a string: its inside
	end        int32
	next       int32 // the value after it in the same array or object, 0 after the last; while it is open, what it is in
	size       int32 // values in an array or object
}

// Parse indexes exactly one JSON value, as Check has it, with Check's errors.
func (d *Document) Parse(b []byte, lim Limits) (Value, error) {
	if utf8.Valid(b) && d.index(b, lim, false) {
		return Value{d, 0}, nil
	}
	d.Forget()
	if err := Check(b, lim); err != nil {
		return Value{}, err
	}
	return Value{}, &SyntaxError{Problem: "too large", Limit: true}
}

// ParseLenient indexes what a server means for JSON: strings may hold control
// characters, bytes that are not UTF-8 and escapes that do not exist; numbers
// are anything made of a number's characters, also inf and nan. It is false for
// anything else.
func (d *Document) ParseLenient(b []byte) (Value, bool) {
	if d.index(b, Limits{}, true) {
		return Value{d, 0}, true
	}
	d.Forget()
	return Value{}, false
}

// Forget lets the text go, and an index that is large.
func (d *Document) Forget() {
	d.text = nil
	if cap(d.nodes) > keptNodes {
		d.nodes = nil
	}
}

// keptNodes is how many values a document keeps room for.
const keptNodes = 32 << 10

// index is false when b is no document. It is one loop that calls nothing for
// what is usual: in WebAssembly calls are dear.
func (d *Document) index(b []byte, lim Limits, lenient bool) bool {
	if len(b) > math.MaxInt32 {
		return false
	}
	if lim.Depth <= 0 || lim.Depth > MaxDepth {
		lim.Depth = MaxDepth
	}
	if lim.Values <= 0 {
		lim.Values = math.MaxInt32
	}
	nodes := d.nodes[:0]
	i := 0     // the next byte
	depth := 0 // arrays and objects that are open
	open := -1 // the innermost of them
	last := -1 // the value before, in the same one
	wantKey := false
	key, keyEnd, keyEscaped := 0, 0, false
value:
	for {
		i = skipSpace(b, i)
		if i >= len(b) {
			return false
		}
		c, kind, start, escaped := b[i], String, i, false
		if c == '"' {
			start++
			for i = start; ; {
				if i+8 <= len(b) {
					found := anySpecial(word(b[i:]))
					if found == 0 {
						i += 8
						continue
					}
					i += bits.TrailingZeros64(found) >> 3
				} else {
					for i < len(b) && !special[b[i]] {
						i++
					}
					if i >= len(b) {
						return false
					}
				}
				c := b[i]
				if c == '"' {
					break
				}
				switch n := 2; {
				case c != '\\' && !lenient:
					return false
				case c != '\\':
					i++
				case !lenient:
					if n = escape(b[i:]); n == 0 {
						return false
					}
					fallthrough
				default:
					escaped = true
					i += n
				}
			}
			if wantKey {
				key, keyEnd, keyEscaped = start, i, escaped
				if i = skipSpace(b, i+1); i >= len(b) || b[i] != ':' {
					return false
				}
				i++
				wantKey = false
				continue
			}
		} else {
			if wantKey {
				return false
			}
			switch {
			case c == '{':
				kind = Object
				i++
			case c == '[':
				kind = Array
				i++
			case c == 't' && len(b)-i >= 4 && string(b[i:i+4]) == "true":
				kind = True
				i += 4
			case c == 'f' && len(b)-i >= 5 && string(b[i:i+5]) == "false":
				kind = False
				i += 5
			case c == 'n' && len(b)-i >= 4 && string(b[i:i+4]) == "null":
				kind = Null
				i += 4
			default:
				n := numberEnd(b[i:], lenient)
				if n == 0 {
					return false
				}
				kind = Number
				i += n
			}
		}
		if len(nodes) >= lim.Values {
			return false
		}
		at := len(nodes)
		if last >= 0 {
			nodes[last].next = int32(at)
		}
		if open >= 0 {
			nodes[open].size++
		}
		if at == cap(nodes) {
			nodes = slices.Grow(nodes, max(64, at))
		}
		nodes = nodes[:at+1]
		n := &nodes[at]
		n.kind, n.escaped, n.keyEscaped = kind, escaped, keyEscaped
		n.key, n.keyEnd, n.at, n.end = int32(key), int32(keyEnd), int32(start), int32(i)
		n.next, n.size = 0, 0
		last = at
		switch {
		case kind == String:
			i++
		case kind >= Array:
			if depth++; depth > lim.Depth {
				return false
			}
			n.next = int32(open)
			open, last = at, -1
			if i = skipSpace(b, i); i >= len(b) {
				return false
			}
			if b[i] != kind.end() {
				wantKey = kind == Object
				continue
			}
		}
		for open >= 0 { // behind a value
			if i = skipSpace(b, i); i >= len(b) {
				return false
			}
			o := &nodes[open]
			c := b[i]
			i++
			if c == ',' {
				wantKey = o.kind == Object
				continue value
			}
			if c != o.kind.end() {
				return false
			}
			o.end = int32(i)
			last, open, o.next = open, int(o.next), 0
			depth--
		}
		d.text, d.nodes, d.strict = b, nodes, !lenient
		return skipSpace(b, i) == len(b)
	}
}

// skipSpace returns where the next byte is that is not white space, at i or
// behind it.
func skipSpace(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// numberEnd returns the length of the number that b begins with, 0 if it does not.
func numberEnd(b []byte, lenient bool) int {
	if !lenient {
		s := scanner{b: b}
		if c := b[0]; c != '-' && (c < '0' || c > '9') || s.number() != nil {
			return 0
		}
		return s.i
	}
	n := 0
	for n < len(b) && (b[n] >= '0' && b[n] <= '9' || b[n] == '.' || b[n] == '-' || b[n] == '+' || b[n]|0x20 == 'e') {
		n++
	}
	if n > 1 || n == 1 && b[0] != '-' && b[0] != '+' {
		return n
	}
	if len(b)-n >= 3 {
		switch [3]byte{b[n] | 0x20, b[n+1] | 0x20, b[n+2] | 0x20} {
		case [3]byte{'i', 'n', 'f'}, [3]byte{'n', 'a', 'n'}:
			return n + 3
		}
	}
	return 0
}
