package policy

import "antwort/shared/jsontext"

// Conversation names the conversation that a request belongs to, the same for
// all of its turns: by prompt_cache_key, else by what every turn begins with,
// the instructions and the first message of the user. A backend that had an
// earlier turn has its prefix in the cache.
//
// It is the same in every process, so that several gateways choose alike.
func (r *Reading) Conversation() uint64 {
	h := hash(offset64)
	if key, ok := jsontext.Text(r.cacheKey); ok && len(key) > 0 {
		return h.add(key).mixed()
	}
	h = h.add(r.instructions)
	first, found := firstOfUser(r.past)
	if !found {
		first, _ = firstOfUser(r.input)
	}
	return h.add(firstText(first)).mixed()
}

// firstOfUser is the content of the first message of the user among the items. Where
// there is none it is what the items end with, and false.
func firstOfUser(items []byte) (first []byte, found bool) {
	first = items
	jsontext.Elements(items, func(item []byte) bool {
		first = item
		var content []byte
		if content, found = userContent(item); found {
			first = content
		}
		return !found
	})
	return first, found
}

// userContent is the content of an item that is a message of the user.
func userContent(item []byte) (content []byte, is bool) {
	message := true // a message needs not say that it is one
	jsontext.Members(item, func(name, value []byte, _ int) bool {
		switch string(name) {
		case "type":
			message = string(value) == `"message"`
		case "role":
			is = string(value) == `"user"`
		case "content":
			content = value
		}
		return true
	})
	return content, is && message && content != nil
}

// firstText is the text of content, or of its first part that has one; so a
// text is the same in all the ways that it can be written.
func firstText(content []byte) []byte {
	if text, ok := jsontext.Text(content); ok {
		return text
	}
	found := content
	jsontext.Elements(content, func(part []byte) bool {
		searching := true
		jsontext.Members(part, func(name, value []byte, _ int) bool {
			if text, ok := jsontext.Text(value); ok && string(name) == "text" {
				found, searching = text, false
			}
			return searching
		})
		return searching
	})
	return found
}

// hash is FNV-1a in words of eight bytes, over the first bytes of what is added.
type hash uint64

const (
	offset64 = 14695981039346656037
	prime64  = 1099511628211
	hashed   = 4096 // of each text, in bytes
)

func (h hash) add(text []byte) hash {
	h = h.word(uint64(len(text)))
	text = text[:min(len(text), hashed)]
	for ; len(text) >= 8; text = text[8:] {
		h = h.word(jsontext.Word(text))
	}
	for _, c := range text {
		h = (h ^ hash(c)) * prime64
	}
	return h
}

// word adds eight bytes; the shift takes the upper ones to where they count.
func (h hash) word(w uint64) hash {
	h = (h ^ hash(w)) * prime64
	return h ^ h>>32
}

// mixed spreads what FNV leaves in the lower bits (the finalizer of splitmix64).
func (h hash) mixed() uint64 {
	x := uint64(h)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
