package history

import (
	"bytes"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
)

// A Page says which of the items of a response are to be listed.
type Page struct {
	After     string // the id of the item before the first one; "": from the beginning
	Limit     int    // at most so many
	Ascending bool   // the oldest first
	Images    bool   // with the data of images
}

// Append appends the list: what GET /v1/responses/{id}/input_items answers. items are
// as Keep made them.
func (p Page) Append(dst, items []byte) ([]byte, *responses.Error) {
	var all []item
	jsontext.Elements(items, func(raw []byte) bool {
		all = append(all, look(raw))
		return true
	})
	at := func(i int) *item {
		if p.Ascending {
			return &all[i]
		}
		return &all[len(all)-1-i]
	}
	first := 0
	if p.After != "" {
		for first < len(all) && string(at(first).id) != p.After {
			first++
		}
		if first == len(all) {
			return dst, responses.Invalid("after", "is the id of no item of this response")
		}
		first++
	}
	end := min(len(all), first+p.Limit)
	return appendList(dst, end-first, func(i int) *item { return at(first + i) }, end < len(all), p.Images), nil
}

// AppendList appends the list of these items, as an answer has it. more says that
// there are others, images that it has the data of images.
func AppendList(dst []byte, items [][]byte, more, images bool) []byte {
	return appendList(dst, len(items), func(i int) *item {
		it := look(items[i])
		return &it
	}, more, images)
}

// AppendItem appends one item as a list has it.
func AppendItem(dst, raw []byte, images bool) []byte {
	it := look(raw)
	return it.appendShown(dst, images)
}

func appendList(dst []byte, n int, at func(int) *item, more, images bool) []byte {
	dst = append(dst, `{"object":"list","data":[`...)
	var first, last []byte
	for i := range n {
		it := at(i)
		if last = it.id; i == 0 {
			first = it.id
		} else {
			dst = append(dst, ',')
		}
		dst = it.appendShown(dst, images)
	}
	dst = append(dst, `],"first_id":`...)
	if n > 0 {
		dst = jsontext.AppendString(dst, first)
		dst = append(dst, `,"last_id":`...)
		dst = jsontext.AppendString(dst, last)
	} else {
		dst = append(dst, `null,"last_id":null`...)
	}
	if more {
		return append(dst, `,"has_more":true}`...)
	}
	return append(dst, `,"has_more":false}`...)
}

// Each yields the items of a JSON array with their ids. Of an answer calls and
// thoughts that broke off are left out, as they must not be acted on.
func Each(items []byte, answer bool, yield func(id string, raw []byte)) {
	jsontext.Elements(items, func(raw []byte) bool {
		if it := look(raw); !answer || !it.brokeOff() {
			yield(string(it.id), raw)
		}
		return true
	})
}

// appendShown appends an item as it is listed: a message says that it is one, has a
// status and its text in a part.
func (it *item) appendShown(dst []byte, images bool) []byte {
	if it.typ != "message" {
		return append(dst, it.raw...)
	}
	typed, from := false, 0
	jsontext.Members(it.raw, func(name, value []byte, at int) bool {
		switch string(decoded(name)) {
		case "type":
			typed = typed || string(value) != "null"
		case "content":
			dst = append(dst, it.raw[from:at]...)
			dst = it.appendContent(dst, value, images)
			from = at + len(value)
		}
		return true
	})
	end := bytes.LastIndexByte(it.raw, '}')
	dst = append(dst, bytes.TrimRight(it.raw[from:end], " \t\r\n")...)
	if !typed {
		dst = append(dst, `,"type":"message"`...)
	}
	if it.status == "" {
		dst = append(dst, `,"status":"completed"`...)
	}
	return append(dst, '}')
}

func (it *item) appendContent(dst, content []byte, images bool) []byte {
	if text, ok := jsontext.Text(content); ok {
		if it.role == "assistant" {
			dst = append(dst, `[{"type":"output_text","annotations":[],"text":"`...)
		} else {
			dst = append(dst, `[{"type":"input_text","text":"`...)
		}
		dst = append(dst, text...)
		return append(dst, `"}]`...)
	}
	if images || !bytes.Contains(content, []byte(`"data:`)) {
		return append(dst, content...)
	}
	dst = append(dst, '[')
	first := true
	jsontext.Elements(content, func(part []byte) bool {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		from := 0
		jsontext.Members(part, func(name, value []byte, at int) bool {
			if string(name) == "image_url" && bytes.HasPrefix(value, []byte(`"data:`)) {
				dst = append(append(dst, part[from:at]...), "null"...)
				from = at + len(value)
			}
			return true
		})
		dst = append(dst, part[from:]...)
		return true
	})
	return append(dst, ']')
}
