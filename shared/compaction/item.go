package compaction

import (
	"bytes"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
)

// item is what of an item matters here. Texts are decoded.
type item struct {
	raw      []byte
	typ      string
	role     string
	key      string // what pairs a call with its output
	content  []byte // as it stands in raw; nil without one
	sealed   []byte // encrypted_content
	isSealed bool   // it is a text
	client   bool   // runs the search
}

func look(raw []byte) (it item) {
	var id string
	it.raw = raw
	jsontext.Members(raw, func(name, value []byte, _ int) bool {
		text, isText := jsontext.Text(value)
		switch string(meaning(name)) {
		case "content":
			if it.content == nil {
				it.content = value
			}
		case "type":
			if it.typ == "" && isText {
				it.typ = string(meaning(text))
			}
		case "role":
			if it.role == "" && isText {
				it.role = string(meaning(text))
			}
		case "call_id":
			if it.key == "" && isText {
				it.key = string(meaning(text))
			}
		case "id":
			if id == "" && isText {
				id = string(meaning(text))
			}
		case "execution":
			it.client = string(value) == `"client"`
		case "encrypted_content":
			if !it.isSealed && isText {
				it.sealed, it.isSealed = meaning(text), true
			}
		}
		return true
	})
	if it.key == "" {
		it.key = id
	}
	if it.typ == "" && it.role != "" {
		it.typ = "message"
	}
	return it
}

// meaning is what an escaped text means: itself where nothing is escaped.
func meaning(escaped []byte) []byte {
	if bytes.IndexByte(escaped, '\\') < 0 {
		return escaped
	}
	return jsontext.Decode(nil, escaped)
}

func (it *item) isCall() bool { return responses.IsCall(it.typ, it.client) }

func (it *item) isOutput() bool { return responses.IsOutput(it.typ, it.client) }

// isUsers reports whether the user says it.
func (it *item) isUsers() bool { return it.typ == "message" && it.role == "user" }

// isModels reports whether the model has said it.
func (it *item) isModels() bool {
	return it.isCall() || it.typ == "reasoning" || it.typ == "message" && it.role == "assistant"
}

// text is what a message says, its parts on lines of their own. Of a text that is much longer
// than some bytes its beginning and its end are enough, each at least as long.
func (it *item) text(most int) string {
	parts, size := it.parts()
	escaped := longestEscape * most
	if size <= 2*escaped {
		return string(joined(nil, parts, size))
	}
	last, left := len(parts), escaped
	for left > 0 {
		last--
		left -= len(parts[last])
	}
	end := append([][]byte{jsontext.Tail(parts[last], len(parts[last])+left)}, parts[last+1:]...)
	return string(joined(joined(nil, parts, escaped), end, size))
}

// longestEscape is how many bytes one may be written with.
const longestEscape = 6

// parts are the texts of a message, escaped, and how long they are.
func (it *item) parts() (all [][]byte, size int) {
	if text, ok := jsontext.Text(it.content); ok {
		return [][]byte{text}, len(text)
	}
	jsontext.Elements(it.content, func(part []byte) bool {
		jsontext.Members(part, func(name, value []byte, _ int) bool {
			if text, ok := jsontext.Text(value); ok && string(name) == "text" {
				all, size = with(all, text), size+len(text)
			}
			return true
		})
		return true
	})
	return all, size
}

// joined appends what parts mean, up to about so many bytes as they are written.
func joined(dst []byte, parts [][]byte, most int) []byte {
	for _, part := range parts {
		if most <= 0 {
			break
		}
		if len(dst) > 0 {
			dst = append(dst, '\n')
		}
		dst, _ = jsontext.DecodePart(dst, part, most)
		most -= len(part)
	}
	return dst
}
