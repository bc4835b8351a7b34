package jsontext

import "github.com/valyala/fastjson"

// Opaque values are arrays and objects that are only passed on: a parser sees an
// object of one member with their text in it, and AppendValue appends that text.
// So what nobody looks into makes no parse tree, and is an object to all who ask.
//
// The member's name is no UTF-8, which the names of a document that Check has
// passed always are.
const opaqueName = "\xff"

// AppendOpaque appends a value that Check has passed as an opaque one.
func AppendOpaque(dst, value []byte) []byte {
	dst = append(dst, `{"`+opaqueName+`":"`...)
	for len(value) > 0 {
		n := 0
		for n < len(value) && value[n] != '"' && value[n] != '\\' && value[n] > ' ' {
			n++
		}
		dst = append(dst, value[:n]...)
		if value = value[n:]; len(value) == 0 {
			break
		}
		if value[0] != '"' { // white space between two tokens
			value = value[1:]
			continue
		}
		end := 1 + closingQuote(value[1:])
		dst = append(dst, '\\', '"')
		dst = AppendTwice(dst, value[1:end])
		dst = append(dst, '\\', '"')
		value = value[end+1:]
	}
	return append(dst, `"}`...)
}

// opaque is the text of an opaque value, nil when o is another object.
func opaque(o *fastjson.Object) []byte {
	if o.Len() != 1 {
		return nil
	}
	return o.Get(opaqueName).GetStringBytes()
}
