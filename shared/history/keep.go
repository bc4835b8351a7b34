package history

import (
	"strconv"

	"antwort/shared/jsontext"
)

// Keep appends the items of a request's input as they are stored: a JSON array, in
// which each has an id. A text becomes one message of the user. The client's own ids
// stay, but for those that are none, or that an item before has. random is the random
// part of the response's ids.
func Keep(dst, input []byte, random string) []byte { return keep(dst, input, random, 0, false) }

// KeepApart is Keep for items that become a conversation's, in which each id stands
// once: an item that is paired by its id gets another one, and its own as call_id. first
// is the number of the first item in its id.
func KeepApart(dst, input []byte, random string, first int) []byte {
	return keep(dst, input, random, first, true)
}

func keep(dst, input []byte, random string, number int, apart bool) []byte {
	dst = append(dst, '[')
	if text, ok := jsontext.Text(input); ok {
		dst = append(dst, `{"id":"`...)
		dst = appendID(dst, "message", random, "i", number)
		dst = append(dst, `","type":"message","role":"user","content":"`...)
		dst = append(dst, text...)
		return append(dst, `"}]`...)
	}
	seen, i := ids{}, 0
	jsontext.Elements(input, func(raw []byte) bool {
		if i > 0 {
			dst = append(dst, ',')
		}
		it := look(raw)
		if isID(it.id) && !(apart && it.isKeyed()) && seen.add(it.id) {
			dst = append(dst, raw...)
		} else {
			dst = it.appendAs(dst, random, "i", number+i)
		}
		i++
		return true
	})
	return append(dst, ']')
}

// AppendAnswered appends an item of an answer that somebody else has made, with an id of
// ours by its place in the answer: theirs is the id that it had, "" without one.
func AppendAnswered(dst, raw []byte, random string, index int) (out []byte, theirs, ours string) {
	it := look(raw)
	if it.members == 0 {
		return append(dst, raw...), "", ""
	}
	return it.appendAs(dst, random, "", index), string(it.id), string(appendID(nil, it.typ, random, "", index))
}

// appendAs appends the item with an id of ours.
func (it *item) appendAs(dst []byte, random, of string, index int) []byte {
	if it.idValue != nil {
		dst = append(dst, it.raw[:it.idAt]...)
		dst = append(dst, '"')
		dst = appendID(dst, it.typ, random, of, index)
		dst = append(dst, '"')
		if it.id != nil && it.isKeyed() { // what it is paired by must stay
			dst = append(dst, `,"call_id":`...)
			dst = append(dst, it.idValue...)
		}
		return append(dst, it.raw[it.idAt+len(it.idValue):]...)
	}
	if it.members == 0 {
		return append(dst, it.raw...) // translation refuses it
	}
	dst = append(dst, `{"id":"`...)
	dst = appendID(dst, it.typ, random, of, index)
	dst = append(dst, `",`...)
	return append(dst, it.raw[1:]...)
}

// appendID appends an id of ours: of is "i" in that of an item of the input.
func appendID(dst []byte, typ, random, of string, index int) []byte {
	dst = append(dst, prefixOf(typ)...)
	dst = append(dst, random...)
	dst = append(dst, of...)
	if index < 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, int64(index), 10)
}

// ids are those that were seen.
type ids map[string]struct{}

// add reports whether the id is new.
func (s *ids) add(id []byte) bool {
	if _, twice := (*s)[string(id)]; twice {
		return false
	}
	(*s)[string(id)] = struct{}{}
	return true
}
