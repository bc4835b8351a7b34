package responses

import (
	"strconv"

	"antwort/shared/jsontext"

	"github.com/valyala/fastjson"
)

// What is rendered is a text that is known, then a value, again and again. Both
// are appended by one call, which is not inlined: the copies were 30 KB of the
// filter.

// appendTexts appends texts as they are.
//
//go:noinline
func appendTexts(dst []byte, texts ...string) []byte {
	for _, text := range texts {
		dst = append(dst, text...)
	}
	return dst
}

// appendInt appends a text and behind it a number.
//
//go:noinline
func appendInt(dst []byte, text string, n int64) []byte {
	return strconv.AppendInt(append(dst, text...), n, 10)
}

// appendString appends a text and behind it s as a JSON string.
//
//go:noinline
func appendString(dst []byte, text, s string) []byte {
	return jsontext.AppendString(append(dst, text...), s)
}

// appendStringOrNull appends a text and behind it s as a JSON string, null for
// an empty one.
//
//go:noinline
func appendStringOrNull(dst []byte, text, s string) []byte {
	dst = append(dst, text...)
	if s == "" {
		return append(dst, "null"...)
	}
	return jsontext.AppendString(dst, s)
}

// appendOr appends a text and behind it a value, or what stands for an absent
// one.
//
//go:noinline
func appendOr(dst []byte, text string, v *fastjson.Value, absent string) []byte {
	dst = append(dst, text...)
	if v == nil {
		return append(dst, absent...)
	}
	return jsontext.AppendValue(dst, v)
}

// appendRaw appends raw as it is, between two texts.
//
//go:noinline
func appendRaw(dst []byte, before string, raw []byte, after string) []byte {
	return append(append(append(dst, before...), raw...), after...)
}
