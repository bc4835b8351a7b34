package compaction

import (
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
		switch string(jsontext.Decode(nil, name)) {
		case "content":
			if it.content == nil {
				it.content = value
			}
		case "type":
			if it.typ == "" && isText {
				it.typ = string(jsontext.Decode(nil, text))
			}
		case "role":
			if it.role == "" && isText {
				it.role = string(jsontext.Decode(nil, text))
			}
		case "call_id":
			if it.key == "" && isText {
				it.key = string(jsontext.Decode(nil, text))
			}
		case "id":
			if id == "" && isText {
				id = string(jsontext.Decode(nil, text))
			}
		case "execution":
			it.client = string(value) == `"client"`
		case "encrypted_content":
			if !it.isSealed && isText {
				it.sealed, it.isSealed = jsontext.Decode(nil, text), true
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

func (it *item) isCall() bool { return responses.IsCall(it.typ, it.client) }

func (it *item) isOutput() bool { return responses.IsOutput(it.typ, it.client) }

// isUsers reports whether the user says it.
func (it *item) isUsers() bool { return it.typ == "message" && it.role == "user" }

// isModels reports whether the model has said it.
func (it *item) isModels() bool {
	return it.isCall() || it.typ == "reasoning" || it.typ == "message" && it.role == "assistant"
}

// text is what a message says, its parts on lines of their own.
func (it *item) text() string {
	if text, ok := jsontext.Text(it.content); ok {
		return string(jsontext.Decode(nil, text))
	}
	var all []byte
	jsontext.Elements(it.content, func(part []byte) bool {
		jsontext.Members(part, func(name, value []byte, _ int) bool {
			if text, ok := jsontext.Text(value); ok && string(name) == "text" {
				if len(all) > 0 {
					all = append(all, '\n')
				}
				all = append(all, jsontext.Decode(nil, text)...)
			}
			return true
		})
		return true
	})
	return string(all)
}
