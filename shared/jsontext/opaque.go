package jsontext

import (
	"math/bits"
	"strconv"

	"github.com/valyala/fastjson"
)

// Opaques are arrays and objects that are only passed on: a parser sees an object of one
// member with a number in it, Lengthen puts the text of the value there, and AppendValue
// appends that text. So what nobody looks into makes no parse tree, and is an object to all
// who ask. The number is that of the text.
//
//	a document ─► the same with Append in the place of its values ─► its tree ─ Lengthen ─► the document's
//
// The member's name is no UTF-8, which the names of a document that Check has
// passed always are.
type Opaques [][]byte

const opaqueName = "\xff"

// Append appends a value that Check has passed as an opaque one. It refers to value, which
// must stay as it is.
func (o *Opaques) Append(dst, value []byte) []byte {
	n := len(*o)
	*o = append(*o, withoutBlanks(value))
	return append(strconv.AppendInt(append(dst, `{"`+opaqueName+`":`...), int64(n), 10), '}')
}

// withoutBlanks returns a value without the white space between its tokens: a copy, or the
// value itself where there is none.
//
//go:noinline
func withoutBlanks(value []byte) []byte {
	var fresh []byte
	from := 0 // what is not copied
	for i := 0; i < len(value); {
		if i+8 <= len(value) {
			w := Word(value[i:])
			found := (w-ones*0x21)&^w&highBits | anyOf(w, '"')
			if found == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(found) >> 3
		}
		switch c := value[i]; {
		case c == '"':
			i += 1 + closingQuote(value[i+1:]) + 1
		case c > ' ':
			i++
		default:
			fresh = append(Grow(fresh, len(value)-from), value[from:i]...)
			i += blanks(value[i:])
			from = i
		}
	}
	if fresh == nil {
		return value
	}
	return append(fresh, value[from:]...)
}

// opaque is the text of an opaque value, empty when v is another object. It is that of a null,
// which has none in what is only parsed: there a name may be the same.
func opaque(v *fastjson.Value) []byte {
	members := of(v).object.members
	if len(members) != 1 || members[0].value.kind != fastjson.TypeNull {
		return nil
	}
	return bytesOf(members[0].value.text)
}
