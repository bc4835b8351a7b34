package corpus

import (
	"antwort/shared/compaction"
	"antwort/shared/responses"
	"antwort/shared/seal"
	"antwort/shared/summary"
	"antwort/shared/translate"
)

// Run translates the case: natively, the stream as one piece.
func (c *Case) Run() Result {
	return c.RunSplit(c.Stream)
}

// RunSplit is Run with the upstream's stream in the given pieces.
func (c *Case) RunSplit(pieces ...[]byte) Result { return c.run(Nonce, pieces...) }

// request translates the request, as the filter does.
func (c *Case) request(nonce string) (chat []byte, turn *translate.Turn, p *summary.Pending, e *responses.Error) {
	opt := c.Options
	if c.Seals {
		opt.Sealer = seal.New(c.keys, func(b []byte) { copy(b, nonce) })
	}
	tr := translate.New(opt)
	if !c.Window {
		chat, turn, e = tr.For(c.owner).Request(nil, c.Request, ID, Created)
	}
	if c.Seals && (c.Window || e != nil && compaction.Concerns(c.Request)) {
		s := summary.Summarizer{Translator: tr, Sealer: opt.Sealer, Limits: opt.Limits, MaxTokens: c.maxTokens}
		return s.Request(nil, summary.Request{Body: c.Request, Owner: c.owner, Window: c.Window, ID: ID, Now: Created})
	}
	return chat, turn, nil, e
}

func (c *Case) run(nonce string, pieces ...[]byte) (r Result) {
	chat, turn, p, e := c.request(nonce)
	if e != nil {
		r.Error = ErrorResult(e)
		return r
	}
	r.Chat = chat
	var out []byte
	switch {
	case p != nil && c.Status == 200:
		if out, e = p.Answer(nil, c.Answer, Ended); p.Streaming() {
			r.Events = out
		} else {
			r.Response = out
		}
	case c.Stream != nil:
		r.Events, e = Stream(nil, turn.Stream(), pieces...)
	case c.Status != 200:
		e = translate.UpstreamError(c.Status, c.Answer, c.RetryAfter, c.OwnKey)
	case c.Answer != nil && turn.Streaming(): // no stream although one was asked for
		r.Events, e = Stream(nil, turn.Stream(), c.Answer)
	case c.Answer != nil:
		r.Response, e = turn.Response(nil, c.Answer, Ended)
	}
	if e != nil {
		r.Error = ErrorResult(e)
	}
	return r
}
