package streamcheck

import (
	"bytes"
	"strconv"

	"github.com/valyala/fastjson"
)

// The functions of this file cut the text of values out of JSON text that is
// known to be valid.

// eachMember calls f with every member of an object; anything else has none.
func eachMember(object []byte, f func(key string, value []byte)) {
	if len(object) == 0 || object[0] != '{' {
		return
	}
	for i := space(object, 1); i < len(object) && object[i] == '"'; {
		end := skip(object, i)
		key := object[i+1 : end-1]
		start := space(object, space(object, end)+1) // after the colon
		end = skip(object, start)
		f(string(key), object[start:end])
		if i = space(object, end); i < len(object) && object[i] == ',' {
			i = space(object, i+1)
		}
	}
}

// rawMember is the text of one member, nil when it is absent.
func rawMember(object []byte, key string) (value []byte) {
	eachMember(object, func(k string, v []byte) {
		if k == key && value == nil {
			value = v
		}
	})
	return value
}

// rawElements are the texts of an array's values; nil for anything else.
func rawElements(array []byte) (values [][]byte) {
	if len(array) == 0 || array[0] != '[' {
		return nil
	}
	for i := space(array, 1); i < len(array) && array[i] != ']'; {
		end := skip(array, i)
		values = append(values, array[i:end])
		if i = space(array, end); i < len(array) && array[i] == ',' {
			i = space(array, i+1)
		}
	}
	return values
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skip returns the index after the value that begins at i.
func skip(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			i++
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			depth--
			i++
		default:
			n := bytes.IndexAny(b[i:], ",]}{[\" \t\r\n:")
			switch {
			case n < 0:
				i = len(b)
			case n == 0:
				i++
				continue // white space, a comma or a colon within a value
			default:
				i += n
			}
		}
		if depth == 0 {
			break
		}
	}
	return min(i, len(b))
}

// sameJSON is true when two texts mean the same: members in any order, numbers
// by value.
func sameJSON(a, b []byte) bool {
	va, err := fastjson.ParseBytes(a)
	if err != nil {
		return false
	}
	vb, err := fastjson.ParseBytes(b)
	return err == nil && same(va, vb)
}

func same(a, b *fastjson.Value) bool {
	if a == nil || b == nil || a.Type() != b.Type() {
		return false
	}
	switch a.Type() {
	case fastjson.TypeObject:
		oa, ob := a.GetObject(), b.GetObject()
		equal := oa.Len() == ob.Len()
		oa.Visit(func(key []byte, v *fastjson.Value) { equal = equal && same(v, ob.Get(string(key))) })
		return equal
	case fastjson.TypeArray:
		la, lb := a.GetArray(), b.GetArray()
		if len(la) != len(lb) {
			return false
		}
		for i := range la {
			if !same(la[i], lb[i]) {
				return false
			}
		}
		return true
	case fastjson.TypeString:
		return bytes.Equal(a.GetStringBytes(), b.GetStringBytes())
	case fastjson.TypeNumber:
		fa, errA := strconv.ParseFloat(a.String(), 64)
		fb, errB := strconv.ParseFloat(b.String(), 64)
		return errA == nil && errB == nil && fa == fb
	}
	return true
}
