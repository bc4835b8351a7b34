package translate

import (
	"bytes"

	"antwort/shared/chat"
	"antwort/shared/jsontext"
	"antwort/shared/responses"
	"antwort/shared/sse"

	"github.com/valyala/fastjson"
)

// A Stream turns the bytes of a chat stream into the events of a response.
// However the bytes are split, the events are the same.
//
// Its states: waiting (nothing sent yet), begun (response.created was sent),
// done (a terminal event and [DONE] were sent). Between begun and done its
// items are open or queued as calls.go and queue.go say.
type Stream struct {
	// Clock, when it is set, is asked for the time in Unix seconds once, at the
	// end. Write and End then do not look at their argument.
	Clock func() int64

	// Untyped says that the answer's header does not call it an event stream: then
	// its first byte tells what it is.
	Untyped bool

	turn    *Turn
	framer  sse.Framer
	out     *responses.Output
	queue   queue
	waiting int // bytes of texts and arguments in the queue
	texts   int // those of texts
	repeat  repeat
	answer  wholeAnswer

	calls       int        // one above the highest index of a call so far
	named       int        // calls whose name came
	lastCall    int        // the index of the call that came last
	over        []overCall // calls that are over
	unread      string     // what the answer says in a form that is not read
	hasText     bool       // there was a message to read
	said        [4]bool    // what deltas have said, by its kind: calls under noText
	begun, done bool
	ending      int    // where the terminal events begin in what Write or End appended to
	seq         int    // the sequence number of the first of them
	apart       int    // where in them the items go that are apart
	finish      string // the finish_reason, once it came
}

// Stream returns the stream that answers the turn. A turn has one stream: a
// second call begins it anew, for the answer of another upstream.
func (u *Turn) Stream() *Stream {
	s := &u.stream
	u.outcome = responses.Outcome{}
	*s = Stream{
		turn:   u,
		framer: sse.Framer{Max: u.from.opt.EventBytes},
		out:    u.output(),
		repeat: repeat{head: s.repeat.head[:0], tail: s.repeat.tail[:0]},
	}
	s.out.Rewind(u.begun)
	return s
}

// Started reports whether any event was produced.
func (s *Stream) Started() bool { return s.begun }

// Done reports whether the stream is complete, its terminal event and [DONE]
// included. Later bytes are ignored.
func (s *Stream) Done() bool { return s.done }

// Outcome is the turn's.
func (s *Stream) Outcome() responses.Outcome { return s.turn.Outcome() }

// Start appends the first two events although nothing came from upstream yet.
// From here on failures are events. It does nothing when they were sent.
func (s *Stream) Start(dst []byte) []byte {
	if s.begun {
		return dst
	}
	s.begun = true
	return s.turn.begin(s.out.Begin(dst))
}

// Write takes the next bytes of the chat stream and appends whole events to
// dst. now is in Unix seconds. The error is a *responses.Error and comes only
// while the stream has not started: it is to be answered as such, with its
// status. Later failures are events.
func (s *Stream) Write(dst, p []byte, now int64) ([]byte, error) {
	dst, err := s.write(dst, p, now)
	s.rest()
	return dst, err
}

func (s *Stream) write(dst, p []byte, now int64) ([]byte, error) {
	if s.done {
		return dst, nil
	}
	if s.answer.form != inEvents {
		if document, is := s.answer.takes(p); is {
			s.framer.Drop() // what stood before it
			return s.writeWhole(dst, document, now)
		}
		if s.Untyped && s.answer.isPage() {
			return s.fail(dst, responses.NotStreamed())
		}
	}
	s.framer.Write(p)
	for !s.done {
		if text, ok := s.again(); ok {
			dst = s.tell(dst, s.repeat.kind, text, nil)
		} else {
			ev, ok, err := s.framer.Next()
			if err != nil {
				return s.fail(dst, badUpstream("an event that is longer than the limit"))
			}
			if !ok {
				return dst, nil
			}
			if len(ev.Data) == 0 { // a comment, an event without data, or an error of llama.cpp
				if e := errorLine(ev.Raw); e != nil {
					return s.fail(dst, inBand(e))
				}
				continue
			}
			var failure *responses.Error
			if dst, failure = s.event(dst, &ev, now); failure != nil {
				return s.fail(dst, failure)
			}
		}
		if most := s.turn.from.opt.AnswerBytes; most > 0 && s.out.Said()+s.waiting > most && !s.done {
			if s.turn.from.opt.ShortFailure && most > repeatedBytes {
				s.out.Forget()
			}
			return s.fail(dst, responses.AnswerTooLarge())
		}
	}
	return dst, nil
}

// repeatedBytes is as much as a stream that has become too large may say again at its end
// with Options.ShortFailure.
const repeatedBytes = 1 << 20

// errorLine returns the error that an event without data says: llama.cpp of before
// 2025 has it in a field of its own, "error: {…}".
func errorLine(raw []byte) *chat.Error {
	said, ok := bytes.CutPrefix(trimLeft(raw), []byte("error:"))
	if !ok {
		return nil
	}
	said, _, _ = bytes.Cut(said, []byte("\n"))
	said, _, _ = bytes.Cut(said, []byte("\r"))
	said = said[:min(len(said), chat.ErrorBytes)]
	if e := chat.ParseError(said); *e != (chat.Error{}) {
		return e
	}
	return nil
}

// rest gives back what a stream that waits, or is over, does not need.
func (s *Stream) rest() {
	if s.done {
		s.framer.Drop()
	} else {
		s.framer.Release()
	}
}

// again takes the next event if it is like the one before, and returns its text.
func (s *Stream) again() (text []byte, ok bool) {
	if len(s.queue) > 0 {
		return nil, false
	}
	text, n := s.repeat.event(s.framer.Ahead())
	if n == 0 || !s.turn.from.opt.takesEvent(n) || !s.framer.Skip(n) {
		return nil, false
	}
	s.said[s.repeat.kind] = true
	return text, true
}

func (s *Stream) event(dst []byte, ev *sse.Event, now int64) ([]byte, *responses.Error) {
	if len(s.queue) == 0 && s.turn.from.opt.takesEvent(len(ev.Data)) {
		if text, ok := s.repeat.chunk(ev.Data); ok {
			s.said[s.repeat.kind] = true
			return s.tell(dst, s.repeat.kind, text, nil), nil
		}
	}
	w := chunkWorks.Get().(*chunkWork)
	dst, err := s.chunk(dst, w, ev, now)
	w.done()
	return dst, err
}

func (s *Stream) chunk(dst []byte, w *chunkWork, ev *sse.Event, now int64) ([]byte, *responses.Error) {
	if isDone(ev.Data) {
		if s.finish == "" {
			return dst, CutError()
		}
		return s.complete(dst, w, now)
	}
	var v *fastjson.Value
	var err error
	long := len(ev.Data) > treeBytes
	if long {
		if failure := w.part(ev.Data, &s.turn.from.opt); failure != nil {
			return dst, failure
		}
		v, err = w.parse(&w.split, "")
	} else {
		v, err = w.parser.ParseBytes(ev.Data)
	}
	if err != nil || v.Type() != fastjson.TypeObject {
		return dst, badUpstream("an event that is not JSON")
	}
	var a chat.Answer
	a.ReadChunk(v)
	if a.Err != nil {
		return dst, inBand(a.Err)
	}
	dst = s.Start(dst)
	s.turn.readUsage(&a.Usage)
	if !a.HasChoice {
		if s.finish != "" && a.Usage.Known {
			return s.complete(dst, w, now)
		}
		return dst, nil
	}
	s.hasText = s.hasText || a.HasText
	if s.unread == "" {
		s.unread = a.Unread
	}
	dst, failure := s.choice(dst, w, &a)
	if failure != nil {
		return dst, failure
	}
	if a.Finish != "" {
		s.finish = a.Finish
	}
	if !long {
		s.repeat.learn(ev, &a)
	}
	return dst, nil
}

// choice takes what one chunk adds: reasoning, text and calls, in this order.
func (s *Stream) choice(dst []byte, w *chunkWork, a *chat.Answer) ([]byte, *responses.Error) {
	for _, t := range [...]struct {
		kind   textKind
		v      *fastjson.Value
		member chat.Members
	}{{reasoningText, a.Reasoning, chat.Reasoning}, {outputText, a.Content, chat.Content}, {refusalText, a.Refusal, chat.Refusal}} {
		if t.v == nil || s.isAgain(a, t.kind, t.member) {
			continue
		}
		text, err := w.said(t.v)
		if err != nil {
			return dst, err
		}
		if len(text) > 0 && a.Elsewhere == 0 {
			s.said[t.kind] = true
		}
		w.logprobs = w.logprobs[:0]
		if t.kind == outputText {
			w.appendLogprobs(a.Logprobs)
		}
		if dst, err = s.text(dst, w, t.kind, text); err != nil {
			return dst, err
		}
	}
	if a.Content == nil && a.Reasoning == nil && len(a.ToolCalls) == 0 && len(s.queue) == 0 {
		w.appendLogprobs(a.Logprobs) // of an end token, which is no text
		s.out.Logprobs(w.logprobs)
	}
	n := callsOf(a)
	if n > 0 && s.isAgain(a, noText, chat.Calls) {
		return dst, nil
	}
	for i := range n {
		empty := w.isEmptyCall(a, i)
		if empty && len(w.text) == 0 {
			s.unread = "tool_calls"
			continue
		}
		s.said[noText] = s.said[noText] || a.Elsewhere == 0
		call, err := callOf(a, i)
		call.empty = empty
		if err == nil {
			dst, err = s.call(dst, w, call)
		}
		if err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// isAgain reports whether a chunk says of a kind, in another place than its delta,
// what deltas have said: some servers send the whole message beside the last one.
func (s *Stream) isAgain(a *chat.Answer, kind textKind, member chat.Members) bool {
	return a.Elsewhere&member != 0 && s.said[kind]
}

// isDone reports whether an event is the end of the stream.
func isDone(data []byte) bool {
	return len(data) < 16 && string(bytes.TrimSpace(data)) == "[DONE]"
}

// complete ends a stream whose finish_reason came.
func (s *Stream) complete(dst []byte, w *chunkWork, now int64) ([]byte, *responses.Error) {
	dst = s.reserve(dst)
	dst, err := s.flush(dst, w)
	if err == nil {
		err = s.turn.unsaid(s.hasText, s.unread, s.finish)
	}
	if err != nil {
		return dst, err
	}
	if s.Clock != nil {
		now = s.Clock()
	}
	return s.end(s.turn.finish(dst, s.out, s.finish, now)), nil
}

// fail ends the stream as failed, or returns the error when nothing was sent.
func (s *Stream) fail(dst []byte, e *responses.Error) ([]byte, error) {
	s.done = true
	if !s.begun {
		return dst, e
	}
	dst = s.out.Abandon(s.reserve(dst))
	s.turn.state = responses.State{Status: "failed", Err: e, Usage: s.turn.Usage()}
	s.turn.state.Output, s.turn.state.Apart = s.out.Items()
	return s.end(dst), nil
}

// end appends the terminal events that the turn's state says.
func (s *Stream) end(dst []byte) []byte {
	s.done = true
	dst = s.out.Flush(dst) // somebody may speak before the end is told
	s.ending, s.seq = len(dst), s.out.Seq()
	dst, resource := s.out.End(dst, &s.turn.state)
	s.turn.ended(resource)
	if len(s.turn.state.Apart) > 0 {
		start, _ := s.turn.outcome.Output()
		s.apart = len(dst) - len("}\n\n"+responses.Done) - len(resource) + start + len("[")
	}
	return dst
}

// reserve makes room for the end of a long stream, which would be copied again and
// again while it grows.
func (s *Stream) reserve(dst []byte) []byte {
	if n := s.out.Ending(); n > 64<<10 && !s.out.Drains() {
		return jsontext.Grow(dst, n+n/16+s.turn.resource.Held())
	}
	return dst
}

// End appends what ends the stream when no more bytes come: the upstream's
// stream ended (cause nil) or broke (cause says why). It does nothing when the
// stream is done. An answer whose finish_reason came is complete all the same.
func (s *Stream) End(dst []byte, cause *responses.Error, now int64) []byte {
	if s.done {
		return dst
	}
	defer s.rest()
	dst = s.Start(dst)
	if s.finish != "" {
		w := chunkWorks.Get().(*chunkWork)
		defer w.done()
		var err *responses.Error
		if dst, err = s.complete(dst, w, now); err == nil {
			return dst
		}
		cause = err
	}
	if cause == nil {
		cause = CutError()
	}
	dst, _ = s.fail(dst, cause)
	return dst
}

// decode returns what the escaped text means; valid until the next call.
func (w *chunkWork) decode(text []byte) []byte {
	if bytes.IndexByte(text, '\\') < 0 {
		return text
	}
	w.decoded = jsontext.Decode(w.decoded[:0], text)
	return w.decoded
}
