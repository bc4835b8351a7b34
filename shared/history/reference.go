package history

import (
	"antwort/shared/jsontext"
	"antwort/shared/responses"
)

// idLength is how long the random part of the server's ids is.
const idLength = 28

// Origin returns the random part of the id of the response that an item belongs to,
// which the item's id has in it, and false when it is none of ours.
func Origin(id string) (random string, ok bool) {
	for i := range len(id) {
		if id[i] != '_' {
			continue
		}
		rest := id[i+1:]
		if len(rest) < idLength+2 {
			return "", false
		}
		random, rest = rest[:idLength], rest[idLength:]
		if rest[0] == 'i' {
			rest = rest[1:]
		}
		for j := range len(rest) {
			if rest[j] < '0' || rest[j] > '9' {
				return "", false
			}
		}
		return random, len(rest) >= 2
	}
	return "", false
}

// An Index finds items by their ids.
type Index map[string][]byte

// Add adds a JSON array of items. Of an id the item that was added first counts.
func (x Index) Add(items []byte) {
	jsontext.Elements(items, func(raw []byte) bool {
		if it := look(raw); it.id != nil {
			if id := string(it.id); x[id] == nil {
				x[id] = raw
			}
		}
		return true
	})
}

// Resolve returns the input with the items in the places of those that refer to them,
// and whether there are any. find returns the item of an id, nil for none; it is
// asked before anything is copied.
func Resolve(input []byte, find func(id string) ([]byte, *responses.Error)) (resolved []byte, any bool, err *responses.Error) {
	i := 0
	jsontext.Elements(input, func(raw []byte) bool {
		if it := look(raw); it.typ == "item_reference" && it.id != nil {
			var found []byte
			if found, err = find(string(it.id)); err == nil && found == nil {
				err = noItem(it.id, i)
			}
			if err != nil {
				return false
			}
			if !any {
				any = true
				resolved = append(resolved, input[:cap(input)-cap(raw)]...) // all before it
			} else {
				resolved = append(resolved, ',')
			}
			resolved = append(resolved, found...)
		} else if any {
			resolved = append(append(resolved, ','), raw...)
		}
		i++
		return true
	})
	if err != nil || !any {
		return input, false, err
	}
	return append(resolved, ']'), true, nil
}

// noItem refuses a reference to an item that there is not, or that is somebody
// else's: nobody learns which.
func noItem(id []byte, index int) *responses.Error {
	e := responses.NewError(404, "item_not_found", "Item with id '"+clip(id)+"' not found. Items are not persisted when `store` is set to false. "+
		"Try again with `store` set to true, or remove this item from your input.")
	e.Param = responses.Of(responses.At("input", index), "id")
	return e
}
