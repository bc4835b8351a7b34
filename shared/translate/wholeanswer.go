package translate

import (
	"strings"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
)

// wholeAnswer gathers an answer that is no stream although one was asked for:
// some servers answer so when something is wrong, and some do not stream at all.
// An event stream never begins with a brace.
type wholeAnswer struct {
	form  answerForm
	whole *Whole
	end   jsonEnd // what follows the document says nothing
	bytes int
	mark  int  // how much of a byte order mark has come
	first byte // of the events
}

func (a *wholeAnswer) held() int {
	if a.whole == nil {
		return 0
	}
	return a.whole.split.Held()
}

type answerForm uint8

const (
	notBegun answerForm = iota
	inEvents
	inJSON
)

// takes returns what of p is of an answer in JSON, false when it is no such one.
// Before it blanks may stand, and a byte order mark.
//
//go:noinline
func (a *wholeAnswer) takes(p []byte) ([]byte, bool) {
	if a.form == inJSON {
		return p, true
	}
	for i, c := range p {
		switch {
		case c == '{':
			a.form = inJSON
			return p[i:], true
		case a.mark < len(byteOrderMark) && c == byteOrderMark[a.mark]:
			a.mark++
		case c != ' ' && c != '\t' && c != '\r' && c != '\n':
			a.form, a.first = inEvents, c
			return nil, false
		}
	}
	return nil, false
}

const byteOrderMark = "\ufeff"

// isPage reports whether what comes is neither: no line of events begins so, neither a
// comment nor one of the fields.
func (a *wholeAnswer) isPage() bool {
	return a.form == inEvents && strings.IndexByte(":deir", a.first) < 0
}

// writeWhole takes a piece of an answer in JSON. With the last one it becomes
// the events of a stream.
func (s *Stream) writeWhole(dst, p []byte, now int64) ([]byte, error) {
	a := &s.answer
	if a.whole == nil {
		a.whole = &Whole{turn: s.turn}
		a.whole.split.Reset(a.whole.entry)
	}
	a.bytes += len(p)
	opt := &s.turn.from.opt
	if opt.AnswerBytes > 0 && a.bytes > opt.AnswerBytes {
		return s.fail(dst, responses.AnswerTooLarge())
	}
	a.whole.Write(p[:a.end.write(p)])
	if opt.TextBytes > 0 && len(a.whole.split.Rest())+s.out.Said() > opt.TextBytes {
		return s.fail(dst, responses.AnswerTooLarge())
	}
	if !a.end.complete && a.whole.failed == nil {
		return dst, nil
	}
	if s.Clock != nil {
		now = s.Clock()
	}
	begun, start := s.begun, len(dst)
	dst, err := a.whole.events(s.Start(dst), now)
	a.whole = nil
	if err != nil {
		if !begun && !s.out.Drained() {
			dst, s.begun = dst[:start], false
		}
		return s.fail(dst, err)
	}
	return s.end(dst), nil
}

// frameBytes are more than the events of a thought, a text and some calls have around what
// they say.
const frameBytes = 16 << 10

// events appends the events of the answer, and tells the turn's state how it ends.
func (w *Whole) events(dst []byte, now int64) ([]byte, *responses.Error) {
	if w.failed != nil {
		return dst, w.failed
	}
	work := chunkWorks.Get().(*chunkWork)
	defer work.done()
	if n := len(w.split.Rest()); n > treeBytes { // its text is said five times, and growing by the way would take twice as much
		if !w.turn.out.Drains() {
			w.turn.out.Reserve(n)
			dst = jsontext.Grow(dst, 5*n+2*w.turn.resource.Held()+frameBytes)
		}
	}
	v, err := work.parse(&w.split, byteOrderMark)
	return w.turn.read(dst, work, v, err, now)
}
