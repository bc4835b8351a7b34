package streaming

import (
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
}

// Read looks at the next bytes of the stream, which are free again then.
func (u *UsageReader) Read(piece []byte) {
	if u.blind {
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
		if found, has := responses.FindUsage(ev.Data, "usage"); has {
			u.found, u.has = found, true
		}
	}
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
