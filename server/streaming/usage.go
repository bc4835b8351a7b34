package streaming

import (
	"bytes"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
	"antwort/shared/sse"
)

// UsageReader finds the last token counts in a stream of chat or completion chunks
// that passes as it comes. What it cannot read, it lets be.
type UsageReader struct {
	framer sse.Framer
	blind  bool // no longer looking
	found  responses.Usage
	has    bool

	weighs bool  // what passes
	pieces int64 // texts that passed, each of a token at least
	text   int64 // their bytes
}

// Read looks at the next bytes of the stream, which are free again then.
func (u *UsageReader) Read(piece []byte) {
	if u.blind {
		if u.weighs {
			u.text += int64(len(piece))
		}
		return
	}
	u.framer.Write(piece)
	defer u.framer.Release()
	for {
		ev, ok, err := u.framer.Next()
		if err != nil {
			u.blind = true
			return
		}
		if !ok {
			return
		}
		if found, has := responses.FindUsage(ev.Data); has {
			u.found, u.has = found, true
		}
		if u.weighs {
			u.weigh(ev.Data)
		}
	}
}

// Weigh has it estimate how many tokens pass, for a stream that may not be counted.
func (u *UsageReader) Weigh() { u.weighs = true }

// Passed is how many tokens have passed, by an estimate: one for each piece of a text at
// least, and for each four bytes.
func (u *UsageReader) Passed() int64 { return max(u.pieces, u.text/4) }

// Passed is how many tokens a whole answer has, by the same estimate.
func Passed(answer []byte) int64 {
	var u UsageReader
	u.weigh(answer)
	return u.Passed()
}

// weigh adds the texts of a chunk, or of a whole answer.
func (u *UsageReader) weigh(chunk []byte) {
	if _, whole := jsontext.Extent(chunk); !whole {
		return
	}
	choices, _ := jsontext.LastMember(chunk, "choices")
	jsontext.Elements(choices, func(choice []byte) bool {
		n := 0
		jsontext.Members(choice, func(name, value []byte, _ int) bool {
			switch string(name) {
			case "text":
				n += texts(value, deepest)
			case "delta", "message":
				jsontext.Members(value, func(name, value []byte, _ int) bool {
					if string(name) != "role" {
						n += texts(value, deepest)
					}
					return true
				})
			}
			return true
		})
		if n > 0 {
			u.pieces++
			u.text += int64(n)
		}
		return true
	})
}

// deepest is how deep texts are looked for in a member of a choice: the arguments of a tool
// call are in a list, a call and its function. What is deeper counts as it is written.
const deepest = 4

// texts is how many bytes the texts of a value have together.
func texts(value []byte, depth int) (n int) {
	if text, is := jsontext.Text(value); is {
		return len(text)
	}
	if len(value) == 0 || value[0] != '{' && value[0] != '[' {
		return 0
	}
	if depth == 0 {
		return len(value)
	}
	jsontext.Members(value, func(_, member []byte, _ int) bool {
		n += texts(member, depth-1)
		return true
	})
	jsontext.Elements(value, func(element []byte) bool {
		n += texts(element, depth-1)
		return true
	})
	return n
}

// delta is in every event, and every chunk, that brings a piece of a text: in a text its
// quotes would be escaped.
var delta = []byte(`"delta":`)

// deltas counts pieces of texts in the bytes of a stream, wherever these are cut.
type deltas struct {
	tail []byte // the last of them, fewer than delta has
}

func (d *deltas) in(p []byte) int64 {
	less := len(delta) - 1
	across := append(d.tail, p[:min(len(p), less)]...)
	n := bytes.Count(across, delta) + bytes.Count(p, delta)
	if len(p) > less {
		across = append(across[:0], p[len(p)-less:]...)
	}
	d.tail = across[max(0, len(across)-less):]
	return int64(n)
}

// NewUsageReader reads events of at most eventBytes.
func NewUsageReader(eventBytes int64) *UsageReader {
	return &UsageReader{framer: sse.Framer{Max: int(eventBytes)}}
}

// Found returns the counts; false when there were none.
func (u *UsageReader) Found() (responses.Usage, bool) { return u.found, u.has }

// Tail is the end of an answer.
type Tail []byte

const tailBytes = 4 << 10

// Keep adds what came, and forgets what is no longer the end.
func (t *Tail) Keep(piece []byte) {
	piece = piece[max(0, len(piece)-tailBytes):]
	if over := len(*t) + len(piece) - tailBytes; over > 0 {
		*t = append((*t)[:0], (*t)[over:]...)
	}
	*t = append(*t, piece...)
}
