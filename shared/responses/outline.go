package responses

import (
	"bytes"

	"antwort/shared/jsontext"
)

// AppendOutline appends the body of a request that Check has passed, with all
// that is only passed on or repeated made opaque: fields that the API does not define, the
// schemas of tools and of text.format. Parse reads the outline as it reads the body.
func AppendOutline(dst, body []byte, opaque *jsontext.Opaques) []byte {
	return appendMembers(dst, body, func(dst, name, value []byte) []byte {
		switch _, known := fieldIndex[string(name)]; {
		case string(name) == "tools":
			return appendToolOutlines(dst, value, opaque)
		case string(name) == "text":
			return appendMembers(dst, value, func(dst, name, value []byte) []byte {
				if string(name) == "format" {
					return appendOpaqueMember(dst, value, "schema", opaque)
				}
				return append(dst, value...)
			})
		case known || !isLong(value):
			return append(dst, value...)
		}
		return opaque.Append(dst, value)
	})
}

// appendToolOutlines is for a list of tools, that of a namespace too.
func appendToolOutlines(dst, tools []byte, opaque *jsontext.Opaques) []byte {
	if len(tools) == 0 || tools[0] != '[' {
		return append(dst, tools...)
	}
	dst = append(dst, '[')
	first := true
	jsontext.Elements(tools, func(tool []byte) bool {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendMembers(dst, tool, func(dst, name, value []byte) []byte {
			switch {
			case string(name) == "tools":
				return appendToolOutlines(dst, value, opaque)
			case string(name) == "parameters" && value[0] == '{' && isLong(value):
				return opaque.Append(dst, value)
			}
			return append(dst, value...)
		})
		return true
	})
	return append(dst, ']')
}

func appendOpaqueMember(dst, object []byte, member string, opaque *jsontext.Opaques) []byte {
	return appendMembers(dst, object, func(dst, name, value []byte) []byte {
		if string(name) == member && value[0] == '{' && isLong(value) {
			return opaque.Append(dst, value)
		}
		return append(dst, value...)
	})
}

// appendMembers appends an object with each value as write has it. Another value,
// and that of a name that is written with escapes, stays as it is.
func appendMembers(dst, object []byte, write func(dst, name, value []byte) []byte) []byte {
	from := 0 // what has been appended
	jsontext.Members(object, func(name, value []byte, at int) bool {
		dst = append(dst, object[from:at]...)
		if bytes.IndexByte(name, '\\') >= 0 {
			dst = append(dst, value...)
		} else {
			dst = write(dst, name, value)
		}
		from = at + len(value)
		return true
	})
	return append(dst, object[from:]...)
}

// isLong reports whether a value may have a parse tree worth avoiding.
func isLong(value []byte) bool { return len(value) > 64 && (value[0] == '{' || value[0] == '[') }
