package translate

import (
	"antwort/shared/jsontext"
	"antwort/shared/responses"
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

// maxQueued is how many items may wait before another is refused: a call is looked for
// among all.
const maxQueued = 512

// waits takes another item into the queue.
func (s *Stream) waits(q queued) (*queued, *responses.Error) {
	if len(s.queue) >= maxQueued {
		return nil, badUpstream("more texts and tool calls at a time than this server follows")
	}
	s.queue = append(s.queue, q)
	return &s.queue[len(s.queue)-1], nil
}

// queued is an item that is open (queue[0]) or waits.
type queued struct {
	kind     textKind
	text     []byte // what waits of the text or the arguments, escaped
	logprobs []byte

	index     int    // the call's index upstream
	id        string // its upstream id, escaped; empty without one
	sum       uint64 // of the id
	name      uint64 // the sum of its name upstream
	call      responses.Call
	begun     bool // the call was told
	empty     bool // it has said nothing but an id
	held      int  // bytes of its arguments that were not told
	arguments arguments
	input     customInput
}

// isOpen reports whether more of a call is to come.
func (q *queued) isOpen() bool { return q.kind == noText && !q.arguments.end.complete }

// text takes a piece of reasoning, text or refusal. w.logprobs belong to it.
func (s *Stream) text(dst []byte, w *chunkWork, kind textKind, text []byte) ([]byte, *responses.Error) {
	if len(text) == 0 {
		if kind == outputText && len(w.logprobs) > 0 && len(s.queue) == 0 {
			s.out.Logprobs(w.logprobs)
		}
		return dst, nil
	}
	if len(s.queue) > 0 {
		var err *responses.Error
		if dst, err = s.advance(dst, w, 0); err != nil {
			return dst, err
		}
	}
	if len(s.queue) == 0 {
		return s.tell(dst, kind, text, w.logprobs), nil
	}
	last := &s.queue[len(s.queue)-1]
	if last.kind != kind {
		var err *responses.Error
		if last, err = s.waits(queued{kind: kind}); err != nil {
			return dst, err
		}
	}
	before := len(last.text) + len(last.logprobs)
	last.text = append(last.text, text...)
	if len(w.logprobs) > 0 {
		if len(last.logprobs) > 0 {
			last.logprobs = append(last.logprobs, ',')
		}
		last.logprobs = append(last.logprobs, w.logprobs...)
	}
	more := len(last.text) + len(last.logprobs) - before
	s.waiting += more
	s.texts += more
	return dst, s.checkWaiting()
}

// checkWaiting is the failure of an answer of which more waits than may be told at once. A
// text becomes five times as much.
func (s *Stream) checkWaiting() *responses.Error {
	if most := s.turn.from.opt.TextBytes; most > 0 && (s.waiting > most || s.texts > most/4) {
		return responses.AnswerTooLarge()
	}
	return nil
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
func (s *Stream) call(dst []byte, w *chunkWork, v toolCall) ([]byte, *responses.Error) {
	q, over, err := s.find(w, v)
	if err != nil {
		return dst, err
	}
	if over != nil {
		_, said, err := w.arguments(s.turn, v)
		if err == nil && !over.write(said, &s.turn.looks) {
			err = moreArguments()
		}
		return dst, err
	}
	q.empty = q.empty && v.empty
	if q.call.Name == "" { // some servers send the name after the id
		if q.call, err = s.turn.beginCall(v, q.id, s.named); err != nil {
			return dst, err
		}
		if q.call.Name != "" {
			q.name = jsontext.Sum(v.function.GetStringBytes("name"))
			s.named++
		}
	}
	text, decoded, err := w.arguments(s.turn, v)
	if err != nil {
		return dst, err
	}
	q.held += len(text)
	s.waiting += len(text)
	if n := q.arguments.write(decoded); n == len(decoded) {
		q.text = append(q.text, text...)
	} else {
		q.text = jsontext.AppendEscaped(q.text, decoded[:n])
	}
	if dst, err = s.advance(dst, w, 1); err == nil {
		err = s.checkWaiting()
	}
	return dst, err
}

// advance closes the open calls that are complete and tells what waited behind
// them, up to the last keep entries: nothing has followed those yet.
func (s *Stream) advance(dst []byte, w *chunkWork, keep int) ([]byte, *responses.Error) {
	for len(s.queue) > keep {
		q := &s.queue[0]
		if q.kind == noText {
			dst = s.release(dst, w, q)
			if q.isOpen() || !q.begun {
				return dst, nil
			}
			var err *responses.Error
			if dst, err = s.closeCall(dst, q, false); err != nil {
				return dst, err
			}
		} else {
			dst = s.tellQueued(dst, q)
		}
		s.pop()
	}
	if len(s.queue) > 0 {
		dst = s.release(dst, w, &s.queue[0])
	}
	return dst, nil
}

// tellQueued tells a text that waited.
func (s *Stream) tellQueued(dst []byte, q *queued) []byte {
	n := len(q.text) + len(q.logprobs)
	s.waiting -= n
	s.texts -= n
	return s.tell(dst, q.kind, q.text, q.logprobs)
}

func (s *Stream) pop() {
	s.queue[0] = queued{}
	if len(s.queue) == 1 {
		s.queue = s.queue[:0]
	} else {
		s.queue = s.queue[1:]
	}
}

// release tells what has gathered of the call at the head of the queue.
func (s *Stream) release(dst []byte, w *chunkWork, q *queued) []byte {
	if q.call.Name == "" {
		return dst
	}
	isText := q.call.Kind.IsText()
	if !q.begun {
		q.begun = true
		if isText {
			dst = s.out.BeginCall(dst, q.call)
		}
	}
	if !q.arguments.live || !isText {
		return dst
	}
	text := q.text
	if q.call.Kind == responses.CustomCall {
		w.text = q.input.write(w.text[:0], w.decode(q.text))
		text = w.text
	}
	if len(text) > 0 {
		dst = s.out.CallDelta(dst, text)
	}
	s.dropHeld(q, min(len(q.text), q.held))
	q.text = q.text[:0]
	if q.call.Kind == responses.FunctionCall {
		q.arguments.forget()
	}
	return dst
}

// dropHeld notes that n bytes of a call are no longer held back.
func (s *Stream) dropHeld(q *queued, n int) {
	q.held -= n
	s.waiting -= n
}

// saidBy returns all arguments of the open call.
func (s *Stream) saidBy(a *arguments) []byte {
	if a.gone == 0 {
		return a.said
	}
	return append(jsontext.Decode(nil, s.out.OpenText())[:a.gone], a.said...)
}

// closeCall tells what was held back of a call and the calls that stand behind
// it in its arguments. The last item is closed by what follows. cut says that
// the rest of the arguments is missing.
func (s *Stream) closeCall(dst []byte, q *queued, cut bool) ([]byte, *responses.Error) {
	a := &q.arguments
	over := s.endCall(q)
	s.dropHeld(q, q.held)
	custom := q.call.Kind == responses.CustomCall
	if a.live && !a.more && q.call.Kind.IsText() {
		if a.gone <= longTexts { // longer ones come once
			over.texts = append(over.texts, jsontext.Sum(trim(s.saidBy(a))))
		}
		if custom {
			dst = s.callText(dst, q.input.end(nil, cut))
		}
		return dst, nil
	}
	said := s.saidBy(a)
	if cut && len(trimLeft(said)) == 0 {
		return dst, nil
	}
	for i, text := range s.turn.looks.split(said, custom) {
		over.texts = append(over.texts, jsontext.Sum(trim(text)))
		call := q.call
		if i > 0 {
			if err := s.checkNext(); err != nil {
				return dst, err
			}
			call.ID = s.turn.resource.ItemID("call_", s.named)
			s.named++
		}
		if !q.call.Kind.IsText() {
			if !s.turn.tells(call.Kind, len(text)) {
				return dst, responses.AnswerTooLarge()
			}
			var err *responses.Error
			if dst, err = s.turn.clientCall(dst, call, text, cut); err != nil {
				return dst, err
			}
			continue
		}
		if i > 0 {
			dst = s.out.BeginCall(dst, call)
			q.input = customInput{}
		} else if a.live {
			text = text[a.first-blanks(said)+blanks(text):]
		}
		if custom {
			dst = s.callText(dst, q.input.end(q.input.write(nil, text), cut))
		} else {
			dst = s.callText(dst, jsontext.AppendEscaped(jsontext.Grow(nil, len(text)+len(text)/8), text))
		}
	}
	return dst, nil
}

// checkNext is the failure of another call that stands in the arguments of one: of those
// that waited many may be told at once.
func (s *Stream) checkNext() *responses.Error {
	if most := s.turn.from.opt.AnswerBytes; most > 0 && s.out.Said() > most {
		return responses.AnswerTooLarge()
	}
	return checkPlace(s.named)
}

// callText tells a piece of the open call, if there is any.
func (s *Stream) callText(dst, text []byte) []byte {
	if len(text) == 0 {
		return dst
	}
	return s.out.CallDelta(dst, text)
}

// flush tells all that is queued, at the end of the answer.
func (s *Stream) flush(dst []byte, w *chunkWork) ([]byte, *responses.Error) {
	for len(s.queue) > 0 {
		q := &s.queue[0]
		if q.kind == noText {
			if dst = s.release(dst, w, q); !q.begun {
				if !q.empty {
					return dst, badUpstream("a tool call without a name")
				}
				s.unread = "tool_calls" // nothing but an id
				s.pop()
				continue
			}
			var err *responses.Error
			if dst, err = s.closeCall(dst, q, isCut(s.finish)); err != nil {
				return dst, err
			}
		} else {
			dst = s.tellQueued(dst, q)
		}
		s.pop()
	}
	for i := range s.over {
		if len(s.over[i].again) > 0 {
			return dst, moreArguments()
		}
	}
	return dst, nil
}

func moreArguments() *responses.Error {
	return badUpstream("more arguments for a tool call that was complete")
}
