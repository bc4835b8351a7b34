package filter

import (
	"bytes"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
	"antwort/shared/sse"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// watchedStream reads the usage of a stream that passes untouched. What it
// cannot read, or may not hold, it lets be.
type watchedStream struct {
	*exchange
	framer sse.Framer
	blind  bool // no longer looking
}

func newWatchedStream(x *exchange) *watchedStream {
	return &watchedStream{exchange: x, framer: sse.Framer{Max: int(x.cfg.Limits.EventBytes)}}
}

func (w *watchedStream) body(size int, _ bool) types.Action {
	if w.blind || size == 0 {
		return types.ActionContinue
	}
	chunk := answerChunk(size)
	if w.saysNothing(chunk) {
		return types.ActionContinue
	}
	w.framer.Write(chunk)
	defer w.framer.Release()
	for {
		ev, ok, err := w.framer.Next()
		if err != nil {
			w.stop()
			return types.ActionContinue
		}
		if !ok {
			break
		}
		w.see(ev)
	}
	if !w.holdAnswer(len(w.framer.Rest())) {
		w.stop()
	}
	return types.ActionContinue
}

// saysNothing reports whether a chunk is whole events that say nothing new, as most of
// a stream is. In an event's data the quotes of a text are escaped, so the name
// stands there with its own only as a member's.
func (w *watchedStream) saysNothing(chunk []byte) bool {
	return w.first && w.framer.Between() && bytes.HasSuffix(chunk, blankLine) && !namesUsage(chunk)
}

var blankLine = []byte("\n\n")

// namesUsage reports whether b contains "usage" in quotes. It looks for the
// letter of it that events have least of: bytes.Contains looks for the first,
// and the quotes are everywhere.
func namesUsage(b []byte) bool {
	const before, after = `"usa`, `ge"`
	for i := 0; ; i++ {
		g := bytes.IndexByte(b[i:], 'g')
		if g < 0 {
			return false
		}
		i += g
		if i >= len(before) && i+len(after) <= len(b) && string(b[i-len(before):i]) == before && string(b[i:i+len(after)]) == after {
			return true
		}
	}
}

func (w *watchedStream) stop() {
	w.blind, w.framer = true, sse.Framer{}
	w.holdAnswer(0)
}

func (w *watchedStream) see(ev sse.Event) {
	name, usage := nameAndUsage(ev.Name, ev.Data)
	switch {
	case isLast(name):
		w.countUsage(responses.ReadUsage(usage))
		w.stop()
	case bytes.HasSuffix(name, []byte(".delta")):
		w.sawToken()
	}
}

// isLast reports whether an event of that name ends a stream.
//
//go:noinline
func isLast(name []byte) bool {
	switch string(name) {
	case "response.completed", "response.incomplete", "response.failed", "response.cancelled":
		return true
	}
	return false
}

// nameAndUsage is an event's name, which is the type in its data where it has none, as some
// servers send it; and of the last event the usage of its response. It looks at no byte
// twice, and no further than it must.
func nameAndUsage(name, data []byte) (_, usage []byte) {
	m := jsontext.NewBackwards(data)
	for m.Within = "usage"; (len(name) == 0 || usage == nil && isLast(name)) && m.Next(); {
		switch string(m.Key) {
		case "type":
			if len(name) == 0 {
				name, _ = jsontext.Text(m.Value())
			}
		case "response":
			usage = m.Found()
		}
	}
	return name, usage
}

func (w *watchedStream) trailers() types.Action { return types.ActionContinue }

func (w *watchedStream) free() {}

// watchedAnswer reads the usage of a whole answer that passes untouched. It looks
// for it from the end, and keeps no more of a long answer than that.
type watchedAnswer struct {
	*exchange
	length int64 // by content-length, -1 when not known
	tail   []byte
	seen   bool
}

// tailBytes is how much of an answer's end is read.
const tailBytes = 64 << 10

func (w *watchedAnswer) body(size int, end bool) types.Action {
	if w.seen {
		return types.ActionContinue
	}
	var chunk []byte
	if size > 0 {
		chunk = answerChunk(size)
	}
	if len(w.tail) == 0 && (end || int64(size) == w.length) { // the usual small one: not copied
		w.see(chunk)
		return types.ActionContinue
	}
	w.keep(chunk)
	if end {
		w.see(w.tail)
	}
	return types.ActionContinue
}

// keep adds a chunk, and forgets what is too far from the end.
func (w *watchedAnswer) keep(chunk []byte) {
	if w.tail == nil {
		w.tail = w.take(2 * min(len(chunk), tailBytes))
	}
	if len(w.tail)+len(chunk) > 2*tailBytes {
		w.tail = append(w.tail[:0], w.tail[max(0, len(w.tail)-tailBytes):]...)
		chunk = chunk[max(0, len(chunk)-tailBytes):]
	}
	w.tail = append(w.tail, chunk...)
	w.holdAnswer(cap(w.tail))
}

func (w *watchedAnswer) see(tail []byte) {
	w.seen = true
	w.countUsage(responses.FindUsage(tail))
	w.free()
}

func (w *watchedAnswer) trailers() types.Action {
	if !w.seen {
		w.see(w.tail)
	}
	return types.ActionContinue
}

func (w *watchedAnswer) free() {
	w.give(w.tail)
	w.tail = nil
}

// countUsage counts what an answer has used, if it said so.
func (x *exchange) countUsage(u responses.Usage, said bool) {
	if said {
		x.used(&u)
	}
}
