package jsontext

import "strconv"

// Kind is what a Value is.
type Kind uint8

// The kinds of values.
const (
	Absent Kind = iota
	Null
	False
	True
	Number
	String
	Array
	Object
)

// end is the bracket that ends an array or an object.
func (k Kind) end() byte {
	if k == Object {
		return '}'
	}
	return ']'
}

// A Value is a value of a document, or none: the zero Value is absent, and so is
// what is asked of a value that does not have it. It is valid as long as the
// document's text and index.
type Value struct {
	d *Document
	i int
}

func (v Value) node() *node { return &v.d.nodes[v.i] }

// Kind returns what v is.
func (v Value) Kind() Kind {
	if v.d == nil {
		return Absent
	}
	return v.node().kind
}

// Exists reports whether v is not absent.
func (v Value) Exists() bool { return v.d != nil }

// IsNull reports whether v is null or absent.
func (v Value) IsNull() bool { return v.d == nil || v.node().kind == Null }

// As returns v if it is of the kind.
func (v Value) As(k Kind) Value {
	if v.d == nil || v.node().kind != k {
		return Value{}
	}
	return v
}

// Len returns how many values an array or an object holds.
func (v Value) Len() int {
	if v.d == nil {
		return 0
	}
	return int(v.node().size)
}

// First returns the first value in an array or an object, Next the one after v
// in the same one:
//
//	for m := v.First(); m.Exists(); m = m.Next() {
func (v Value) First() Value {
	if v.d == nil || v.node().size == 0 {
		return Value{}
	}
	return Value{v.d, v.i + 1}
}

// Next: see First.
func (v Value) Next() Value {
	if next := v.node().next; next > 0 {
		return Value{v.d, int(next)}
	}
	return Value{}
}

// Key returns the key that v has in its object. It lives as long as the text.
func (v Value) Key() []byte {
	if n := v.node(); !n.keyEscaped {
		return v.d.text[n.key:n.keyEnd]
	}
	return v.decodedKey()
}

func (v Value) decodedKey() []byte {
	n := v.node()
	return decoded(v.d.text[n.key:n.keyEnd])
}

// Get returns the member of an object: the first one that has the key.
func (v Value) Get(key string) Value {
	for m := v.As(Object).First(); m.Exists(); m = m.Next() {
		if string(m.Key()) == key {
			return m
		}
	}
	return Value{}
}

// Raw returns v as it stands in the text; of a string the escaped inside,
// without its quotes.
func (v Value) Raw() []byte {
	if v.d == nil {
		return nil
	}
	n := v.node()
	return v.d.text[n.at:n.end]
}

// Text returns what a string means, nil for other values. It lives as long as
// the document's text.
func (v Value) Text() []byte {
	if v.Kind() != String {
		return nil
	}
	if !v.node().escaped {
		return v.Raw()
	}
	return decoded(v.Raw())
}

func decoded(raw []byte) []byte {
	if !Inside(raw) {
		raw = AppendRepaired(nil, raw)
	}
	return Decode(make([]byte, 0, len(raw)), raw)
}

// Int returns an integer that is written as one; false for all else.
func (v Value) Int() (int64, bool) {
	raw := v.Raw()
	if v.Kind() != Number || raw[0] == '+' { // lenient
		return 0, false
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		return 0, false
	}
	return n, true
}

// Float returns a number; false for all else. What is too large for it is
// infinite.
func (v Value) Float() (float64, bool) {
	if v.Kind() != Number {
		return 0, false
	}
	f, _ := strconv.ParseFloat(string(v.Raw()), 64)
	return f, true
}

// Append appends v as JSON without white space, its strings escaped as
// AppendString does.
func (v Value) Append(dst []byte) []byte {
	switch n := v.node(); n.kind {
	case String:
		if !n.escaped && v.d.strict {
			dst = append(dst, '"')
			dst = append(dst, v.Raw()...)
			return append(dst, '"')
		}
		return AppendString(dst, v.Text())
	case Array:
		dst = append(dst, '[')
		for e := v.First(); e.Exists(); e = e.Next() {
			dst = e.Append(dst)
			if e.node().next > 0 {
				dst = append(dst, ',')
			}
		}
		return append(dst, ']')
	case Object:
		dst = append(dst, '{')
		for m := v.First(); m.Exists(); m = m.Next() {
			dst = AppendString(dst, m.Key())
			dst = append(dst, ':')
			dst = m.Append(dst)
			if m.node().next > 0 {
				dst = append(dst, ',')
			}
		}
		return append(dst, '}')
	default:
		return append(dst, v.Raw()...)
	}
}
