// Package summary is a conversation that is summed up with one question: from the request
// that asks for it to the question, and from the model's answer to what the client is told.
//
//	body ─ Summarizer.Request ─► chat request for a summary, Pending
//	chat answer ─ Pending.Answer ─► resource or events with a compaction, or a window
//
// Bodies enter as clients send them. What compactions in them stand for is put in its place,
// also where nothing is to be summed up. It is pure: ids, times and random bytes come in. A
// conversation that is too long for one question is refused by whoever is asked; the server,
// which asks in halves, and which knows stored conversations, goes a way of its own.
package summary

import (
	"bytes"
	"strconv"

	"antwort/shared/compaction"
	"antwort/shared/jsontext"
	"antwort/shared/responses"
	"antwort/shared/seal"
	"antwort/shared/translate"
)

// A Summarizer translates requests that have to do with compactions. It may be used by
// concurrent goroutines.
type Summarizer struct {
	Translator *translate.Translator
	Sealer     *seal.Sealer
	Limits     responses.Limits
	MaxTokens  int // of a summary
	TextBytes  int // three quarters of it are summed up, twice that may go on from a summary; 0: no bound, nor of items and escapes
}

// A Request is what came, and for whom.
type Request struct {
	Body   []byte
	Passed *jsontext.Checker // the body, as it came; nil: it is to be checked
	Owner  [16]byte          // of what is sealed
	Window bool              // it is POST /v1/responses/compact
	ID     string            // the random part of the answer's ids
	Now    int64             // Unix seconds
}

// Pending is a compaction that waits for its summary.
type Pending struct {
	from    *Summarizer
	request Request // without its body
	turn    *translate.Turn
	context compaction.Context
	memory  translate.Memory
	held    int
}

// Request appends the chat request that r becomes. Without a Pending its answer is that of
// the turn; else it is a summary, for the Pending's Answer. The body is not kept.
func (s *Summarizer) Request(dst []byte, r Request) (chat []byte, turn *translate.Turn, p *Pending, err *responses.Error) {
	ask, values, err := s.read(&r)
	if err != nil {
		return dst, nil, nil, err
	}
	owned := s.Translator.For(r.Owner)
	if ask.Threshold > 0 { // a summary and an answer are two questions: translation refuses it
		chat, turn, err = owned.Checked(dst, ask.Body(), values, r.ID, r.Now)
		return chat, turn, nil, err
	}
	open := func(sealed []byte) ([]byte, bool) {
		if s.TextBytes > 0 && len(sealed) > s.TextBytes/4*3 { // of a summary, and what is kept beside it
			return nil, false
		}
		return s.Sealer.OpenText(seal.Compaction, r.Owner, sealed)
	}
	expands, err := ask.Expand(nil, "", open)
	if err == nil && expands.Expands() {
		if err = s.fits(len(expands.Body), 0, 0, r.Window || ask.Triggers); err == nil {
			values, err = responses.Count(expands.Body, s.Limits)
		}
	}
	if err != nil {
		return dst, nil, nil, err
	}
	chat, turn, err = owned.Checked(roomFor(dst, expands.Body), expands.Body, values, r.ID, r.Now)
	if err != nil {
		return dst, nil, nil, expands.Restore(err)
	}
	if !r.Window && !ask.Triggers {
		return chat, turn, nil, nil
	}
	p = &Pending{from: s, request: r, turn: turn, context: compaction.Gather(nil, ask.Input(), false, expands.Memory), held: 2 * len(ask.Body())}
	switch {
	case len(p.context.Items) == 0:
		err = compaction.NothingToSumUp()
	case s.TextBytes > 0 && p.context.Kept() > s.TextBytes/4:
		err = over(strconv.Itoa(s.TextBytes/4) + " bytes of calls without an output that a compaction keeps")
	default:
		chat, err = s.question(chat[:len(dst)], &ask, p, owned)
	}
	if err != nil {
		turn.Free()
		return dst, nil, nil, err
	}
	return chat, turn, p, nil
}

// read reads what a request says of compactions, out of a body that is the answer's to keep, and
// how many values there are in it.
func (s *Summarizer) read(r *Request) (ask compaction.Ask, values int, err *responses.Error) {
	body, check := r.Body, r.Passed
	r.Body, r.Passed = nil, nil
	if err = s.fits(len(body), 0, 0, r.Window); err != nil {
		return ask, 0, err
	}
	escapes := 0
	if check != nil {
		values, escapes = check.Values(), check.Escapes()
	} else if values, err = responses.Count(body, s.Limits); err != nil {
		return ask, 0, err
	}
	if body = bytes.Clone(body); r.Window {
		if body, err = compaction.Complete(body); err != nil {
			return ask, 0, err
		}
	}
	if ask, err = compaction.ReadAsk(body); err == nil {
		err = s.fits(len(body), ask.Items(), escapes, r.Window || ask.Triggers)
	}
	return ask, values, err
}

// Fits reports whether a body is not too long to be read.
func (s *Summarizer) Fits(size int) bool { return s.fits(size, 0, 0, false) == nil }

// fits refuses a request of more than is summed up at once: it is gone through a dozen times, and
// one that goes on from a summary half as often.
func (s *Summarizer) fits(size, items, escapes int, sums bool) *responses.Error {
	most := s.TextBytes / 4 * 3
	if !sums {
		most *= 2
	}
	var what string
	switch {
	case s.TextBytes == 0:
		return nil
	case size > most:
		what = strconv.Itoa(most) + " bytes that a request with a compaction may have"
	case sums && s.Limits.Items > 0 && items > s.Limits.Items/2:
		what = strconv.Itoa(s.Limits.Items/2) + " items that are summed up at once"
	case sums && s.Limits.Escapes > 0 && escapes > s.Limits.ArgumentEscapes():
		what = strconv.Itoa(s.Limits.ArgumentEscapes()) + " escapes that are summed up at once"
	default:
		return nil
	}
	return over(what)
}

func over(what string) *responses.Error {
	err := responses.Invalid("input", "is over the limit of "+what)
	err.Code = "limit_exceeded"
	return err
}

// question appends the chat request for the summary.
func (s *Summarizer) question(dst []byte, ask *compaction.Ask, p *Pending, owned translate.Owned) ([]byte, *responses.Error) {
	body := compaction.AppendRequest(roomFor(nil, ask.Body()), ask.Body(), "", p.context.Items, compaction.Instruction, strconv.AppendInt(nil, int64(s.MaxTokens), 10))
	chat, turn, err := owned.Checked(roomFor(nil, body), body, jsontext.Values(body), p.request.ID, p.request.Now)
	if err != nil {
		err.Param = "input"
		return dst, err
	}
	turn.Free()
	return translate.AppendPlain(roomFor(dst, chat), chat), nil
}

// roomFor has room in dst for what becomes of a text: a long one would be copied again and
// again while it grows.
func roomFor(dst, text []byte) []byte {
	return jsontext.Grow(dst, len(text)+len(text)/8+len(compaction.Instruction))
}

// Streaming reports whether the client is told in events.
func (p *Pending) Streaming() bool { return !p.request.Window && p.turn.Streaming() }

// Held is how many bytes it takes until its answer.
func (p *Pending) Held() int { return p.held }

// Usage is what the summary has used, once it is answered, also by an answer that is none.
func (p *Pending) Usage() *responses.Usage { return &p.memory.Usage }

// Answer appends what the client is told, from the chat answer that has the summary. now is
// in Unix seconds. The error is a 502 for what is none.
func (p *Pending) Answer(dst, answer []byte, now int64) ([]byte, *responses.Error) {
	text, used, err := translate.ReadText(answer)
	if err != nil {
		p.memory.Usage = used
		return dst, err
	}
	m := p.context.Memory(text)
	p.memory = translate.Memory{Sealed: p.from.Sealer.AppendText(nil, seal.Compaction, p.request.Owner, m.Append(nil)), Usage: used}
	if p.request.Window {
		return compaction.AppendWindow(dst, p.request.ID, p.request.Now, p.context.Messages, p.memory.Sealed, used), nil
	}
	return p.turn.Compacted(dst, &p.memory, now), nil
}

// Failed appends what the client is told of a failure once the answer's header has gone.
func (p *Pending) Failed(dst []byte, cause *responses.Error, now int64) []byte {
	switch {
	case p.request.Window:
		return cause.AppendBody(dst)
	case p.turn.Streaming():
		events := p.turn.Stream()
		return events.End(events.Start(dst), cause, now)
	}
	return p.turn.Failed(dst, cause)
}
