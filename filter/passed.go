package filter

import (
	"bytes"

	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/sse"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// pass begins a request of an endpoint that engine.pass names: it is forwarded
// whatever the provider.
func (c *httpContext) pass(h header, endpoint *policy.Endpoint, end bool) types.Action {
	if method := h.get(":method"); !endpoint.Allows(method) {
		c.refuse(h, failure.WrongMethod, endpoint.WrongMethod(method, ""), [2]string{"allow", endpoint.Allow})
		return types.ActionPause
	}
	if c.cfg.Engine.Provider == config.VLLM {
		h.removeRequest(secrets...) // a model server's only caller is this gateway
	}
	return c.forward(h, endpoint, end)
}

// passedStream reads the usage of a stream of chat or completion chunks that
// passes untouched; the last counts hold.
type passedStream struct {
	watchedStream
	found responses.Usage
	has   bool
}

func newPassedStream(x *exchange) *passedStream {
	return &passedStream{watchedStream: *newWatchedStream(x)}
}

func (p *passedStream) body(size int, end bool) types.Action {
	if !p.blind && size > 0 {
		p.read(answerChunk(size))
	}
	if end {
		p.count()
	}
	return types.ActionContinue
}

func (p *passedStream) read(chunk []byte) {
	p.sawToken()
	if p.framer.Between() && bytes.HasSuffix(chunk, blankLine) && !namesUsage(chunk) {
		return
	}
	p.framer.Write(chunk)
	defer p.framer.Release()
	var ev sse.Event
	for ok := true; ok; {
		var err error
		if ev, ok, err = p.framer.Next(); err != nil {
			p.stop()
			return
		}
		if found, has := responses.FindUsage(ev.Data); ok && has {
			p.found, p.has = found, true
		}
	}
	if !p.holdAnswer(len(p.framer.Rest())) {
		p.stop()
	}
}

func (p *passedStream) count() {
	if p.has {
		p.used(&p.found)
		p.has = false
	}
}

func (p *passedStream) trailers() types.Action {
	p.count()
	return types.ActionContinue
}
