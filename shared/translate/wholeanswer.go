package translate

import (
	"bytes"

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

// takes reports whether p is of an answer in JSON.
func (a *wholeAnswer) takes(p []byte) bool {
	if a.form == notBegun {
		switch p = bytes.TrimLeft(p, " \t\r\n"); {
		case len(p) == 0:
		case p[0] == '{':
			a.form = inJSON
		default:
			a.form = inEvents
		}
	}
	return a.form == inJSON
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
	if most := s.turn.from.opt.AnswerBytes; most > 0 && a.bytes > most {
		return s.fail(dst, responses.AnswerTooLarge())
	}
	a.whole.Write(p[:a.end.write(p)])
	if !a.end.complete && a.whole.failed == nil {
		return dst, nil
	}
	if s.Clock != nil {
		now = s.Clock()
	}
	begun, start := s.begun, len(dst)
	dst, state, err := a.whole.events(s.Start(dst), now)
	a.whole = nil
	if err != nil {
		if !begun {
			dst, s.begun = dst[:start], false
		}
		return s.fail(dst, err)
	}
	return s.end(dst, state), nil
}

// events appends the events of the answer, and returns how it ends.
func (w *Whole) events(dst []byte, now int64) ([]byte, responses.State, *responses.Error) {
	if w.failed != nil {
		return dst, responses.State{}, w.failed
	}
	work := chunkWorks.Get().(*chunkWork)
	defer work.done()
	return w.turn.read(dst, work, w.split.Rest(), now)
}
