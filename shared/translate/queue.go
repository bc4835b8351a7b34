package translate

import (
	"bytes"

	"antwort/shared/jsontext"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// The items of a response follow each other; what an upstream sends may not:
// parallel calls may be interleaved, and text may come between their pieces.
// A call that has begun stays the open item until its arguments are complete
// JSON and something else has come; what comes before that waits in the queue.
//
// So parallel calls that come one after the other stream live, and interleaved
// ones are put in order. queue[0], when there is one, is the open call.
type queue []queued

type textKind uint8

const (
	noText textKind = iota // a call
	outputText
	refusalText
	reasoningText
)

// maxQueued is how many items may wait before another call is refused: each is
// looked for among all.
const maxQueued = 512

// queued is an item that is open (queue[0]) or waits.
type queued struct {
	kind     textKind
	text     []byte // what waits of the text or the arguments, escaped
	logprobs []byte

	index int    // the call's index upstream
	id    string // its upstream id, escaped; empty without one
	call  responses.Call
	begun bool // the call was told
	end   jsonEnd
	input customInput
}

// text takes a piece of reasoning, text or refusal. w.logprobs belong to it.
func (s *Stream) text(dst []byte, w *chunkWork, kind textKind, text []byte) []byte {
	if len(text) == 0 {
		if kind == outputText && len(w.logprobs) > 0 && len(s.queue) == 0 {
			s.out.Logprobs(w.logprobs)
		}
		return dst
	}
	dst = s.advance(dst, w, 0)
	if len(s.queue) == 0 {
		return s.tell(dst, kind, text, w.logprobs)
	}
	last := &s.queue[len(s.queue)-1]
	if last.kind != kind {
		s.queue = append(s.queue, queued{kind: kind})
		last = &s.queue[len(s.queue)-1]
	}
	before := len(last.text) + len(last.logprobs)
	last.text = append(last.text, text...)
	if len(w.logprobs) > 0 {
		if len(last.logprobs) > 0 {
			last.logprobs = append(last.logprobs, ',')
		}
		last.logprobs = append(last.logprobs, w.logprobs...)
	}
	s.waiting += len(last.text) + len(last.logprobs) - before
	return dst
}

func (s *Stream) tell(dst []byte, kind textKind, text, logprobs []byte) []byte {
	switch kind {
	case outputText:
		return s.out.Text(dst, text, logprobs)
	case refusalText:
		return s.out.Refusal(dst, text)
	default:
		return s.out.Reasoning(dst, text)
	}
}

// call takes a piece of a tool call.
func (s *Stream) call(dst []byte, w *chunkWork, v *fastjson.Value) ([]byte, *responses.Error) {
	if v.GetObject() == nil {
		return dst, badUpstream("a tool call that is not an object")
	}
	q, err := s.find(w, v)
	if err != nil {
		return dst, err
	}
	if q == nil { // the call is over
		rest, err := w.arguments(v)
		if err == nil && len(bytes.TrimSpace(w.decode(rest))) > 0 {
			err = badUpstream("more arguments for a tool call that was complete")
		}
		return dst, err
	}
	if q.call.Name == "" { // some servers send the name after the id
		if q.call, err = s.turn.beginCall(v, q.id, s.named); err != nil {
			return dst, err
		}
		if q.call.Name != "" {
			s.named++
		}
	}
	text, err := w.arguments(v)
	if err != nil {
		return dst, err
	}
	q.end.write(w.decode(text))
	s.waiting += len(text)
	q.text = append(q.text, text...)
	return s.advance(dst, w, 1), nil
}

// find returns the queued call that v adds to: a new one when v begins one,
// nil when that call is closed already. Some servers give parallel calls one
// index, and some give none: a new id with a name is then a new call.
func (s *Stream) find(w *chunkWork, v *fastjson.Value) (*queued, *responses.Error) {
	text, err := w.fragment(v.Get("id"))
	if err != nil {
		return nil, err
	}
	id := string(text)
	named := len(v.GetStringBytes("function", "name")) > 0
	index := s.lastCall
	if i := v.Get("index"); !jsontext.IsNull(i) {
		index = i.GetInt()
	} else if named && (id == "" || id != s.lastID) {
		index = s.calls
	}
	for i := len(s.queue) - 1; i >= 0; i-- {
		q := &s.queue[i]
		if q.kind != noText || q.index != index {
			continue
		}
		if named && q.call.Name != "" && id != "" && id != q.id {
			break
		}
		s.lastCall = index
		if q.id == "" {
			q.id = id
		}
		return q, nil
	}
	if !named && index < s.calls && s.calls > 0 {
		return nil, nil
	}
	if len(s.queue) >= maxQueued {
		return nil, badUpstream("more tool calls at a time than this server follows")
	}
	s.queue = append(s.queue, queued{index: index, id: id})
	s.lastCall, s.lastID = index, id
	s.calls = max(s.calls, index+1)
	return &s.queue[len(s.queue)-1], nil
}

// advance closes the open calls that are complete and tells what waited behind
// them, up to the last keep entries: nothing has followed those yet.
func (s *Stream) advance(dst []byte, w *chunkWork, keep int) []byte {
	for len(s.queue) > keep {
		q := &s.queue[0]
		if q.kind == noText {
			dst = s.release(dst, w, q)
			if !q.end.complete || !q.begun {
				return dst
			}
			dst = s.closeCall(dst, q, false)
		} else {
			dst = s.tellQueued(dst, q)
		}
		s.pop()
	}
	if len(s.queue) > 0 {
		dst = s.release(dst, w, &s.queue[0])
	}
	return dst
}

// tellQueued tells a text that waited.
func (s *Stream) tellQueued(dst []byte, q *queued) []byte {
	s.waiting -= len(q.text) + len(q.logprobs)
	return s.tell(dst, q.kind, q.text, q.logprobs)
}

func (s *Stream) pop() {
	copy(s.queue, s.queue[1:])
	s.queue[len(s.queue)-1] = queued{}
	s.queue = s.queue[:len(s.queue)-1]
}

// release tells what has gathered of the call at the head of the queue.
func (s *Stream) release(dst []byte, w *chunkWork, q *queued) []byte {
	if q.call.Name == "" {
		return dst
	}
	if !q.begun {
		q.begun = true
		dst = s.out.BeginCall(dst, q.call)
	}
	text := q.text
	if q.call.Custom {
		w.text = q.input.write(w.text[:0], w.decode(q.text))
		text = w.text
	}
	if len(text) > 0 {
		dst = s.out.CallDelta(dst, text)
	}
	s.waiting -= len(q.text)
	q.text = q.text[:0]
	return dst
}

// closeCall tells what a custom tool's input held back. The item itself is
// closed by what follows. cut says that the rest of the arguments is missing.
func (s *Stream) closeCall(dst []byte, q *queued, cut bool) []byte {
	if q.call.Custom {
		if rest := q.input.end(nil, cut); len(rest) > 0 {
			dst = s.out.CallDelta(dst, rest)
		}
	}
	return dst
}

// flush tells all that is queued, at the end of the answer.
func (s *Stream) flush(dst []byte, w *chunkWork) ([]byte, *responses.Error) {
	for len(s.queue) > 0 {
		q := &s.queue[0]
		if q.kind == noText {
			if dst = s.release(dst, w, q); !q.begun {
				return dst, badUpstream("a tool call without a name")
			}
			dst = s.closeCall(dst, q, isCut(s.finish))
		} else {
			dst = s.tellQueued(dst, q)
		}
		s.pop()
	}
	return dst, nil
}
