package translate

import (
	"antwort/shared/chat"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// A Whole translates a whole chat answer that comes in pieces, as Response does
// one that is there. Of what can be long in it, logprobs, it makes no parse tree,
// and does the work as they come.
type Whole struct {
	turn   *Turn
	split  chat.Splitter
	work   *chunkWork // while Write runs
	failed *responses.Error
}

// Whole begins the turn's answer. A turn has one: a second call begins it anew.
func (u *Turn) Whole() *Whole {
	w := &Whole{turn: u}
	u.output().Quiet = true
	u.begin(nil)
	w.split.Reset(w.entry)
	return w
}

// Write takes the next bytes of the answer. What is wrong with them End says.
func (w *Whole) Write(p []byte) {
	if w.failed != nil {
		return
	}
	w.work = chunkWorks.Get().(*chunkWork)
	w.split.Write(p)
	w.work.done()
	w.work = nil
	if most := w.turn.from.opt.Limits.Values; w.failed == nil && most > 0 {
		if rest, _ := w.split.Values(); rest > most {
			w.failed = badUpstream("an answer of more JSON values than the limit")
		}
	}
	if w.failed == nil {
		w.failed = costly(&w.split, &w.turn.from.opt.Limits)
	}
}

// costly refuses what a parser would take long for: it reads numbers digit by digit, and looks
// for the end of each string, name and value, escape by escape, to decode it so too.
func costly(split *chat.Splitter, l *responses.Limits) *responses.Error {
	switch {
	case split.Overlong():
		return badUpstream("a number of more than 1 KiB")
	case l.Escapes > 0 && split.Escapes() > l.Escapes/2:
		return badUpstream("more escapes than the limit in names and short strings")
	}
	return nil
}

// Complete reports whether the answer is complete, or what came of it will never
// be one.
func (w *Whole) Complete() bool { return w.failed != nil || w.split.Complete() }

// Held returns how many bytes of memory the answer takes.
func (w *Whole) Held() int { return w.split.Held() + w.turn.out.Held() }

// End appends the response resource to dst. now is in Unix seconds. The error is
// a 502 for what is not a chat answer.
func (w *Whole) End(dst []byte, now int64) ([]byte, *responses.Error) {
	if w.failed != nil {
		return dst, w.failed
	}
	work := chunkWorks.Get().(*chunkWork)
	defer work.done()
	if n := len(w.split.Rest()); n > treeBytes {
		w.turn.out.Reserve(n)
	}
	v, err := work.parse(&w.split, byteOrderMark)
	return w.turn.answer(dst, work, v, err, now)
}

// entry takes an entry of the logprobs.
func (w *Whole) entry(entry []byte) bool {
	if w.failed = w.work.addLogprob(entry); w.failed != nil {
		return false
	}
	w.turn.out.Logprobs(w.work.logprobs)
	if most := w.turn.from.opt.AnswerBytes; most > 0 && w.turn.out.Said() > most {
		w.failed = responses.AnswerTooLarge()
	}
	return w.failed == nil
}

// addLogprob renders an entry that stands alone into w.logprobs.
func (w *chunkWork) addLogprob(entry []byte) *responses.Error {
	w.logprobs = w.logprobs[:0]
	if len(entry) > chat.EntryBytes {
		return badUpstream("a logprob that is longer than any")
	}
	if isRendered(entry) {
		w.logprobs = append(w.logprobs, entry...)
		return nil
	}
	v, err := w.parser.ParseBytes(entry)
	if err != nil {
		return badUpstream("logprobs that are not JSON")
	}
	w.appendLogprobs([]*fastjson.Value{v})
	return nil
}

// part parts a long chunk: its logprobs are rendered into w.told, and what is left of it
// is in w.split.
func (w *chunkWork) part(data []byte, opt *Options) (failure *responses.Error) {
	var told []byte
	w.long = true
	w.split.Reset(func(entry []byte) bool {
		if failure = w.addLogprob(entry); failure != nil {
			return false
		}
		if len(told) > 0 && len(w.logprobs) > 0 {
			told = append(told, ',')
		}
		told = append(told, w.logprobs...)
		return true
	})
	for len(data) > 0 && failure == nil {
		n := min(len(data), treeBytes)
		w.split.Write(data[:n])
		data = data[n:]
		// Several may come at once: of what is parsed half of the limit is left to each.
		if values, entries := w.split.Values(); failure == nil && opt.Limits.Values > 0 && (values > opt.Limits.Values/2 || values+entries > opt.Limits.Values) {
			failure = badUpstream("an event of more JSON values than the limit")
		}
		if failure == nil {
			failure = costly(&w.split, &opt.Limits)
		}
		if failure == nil && !opt.takesEvent(len(w.split.Rest())) {
			failure = responses.AnswerTooLarge()
		}
	}
	w.told = told
	return failure
}
