package filter

import (
	"antwort/shared/compaction"
	"antwort/shared/jsontext"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/summary"
	"antwort/shared/translate"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// summarizes reports whether the request has to do with compactions, which the filter can
// seal and open: it asks for one, or translation has refused what may be one.
func (x *translated) summarizes(body []byte, refused *responses.Error) bool {
	return x.summarizer != nil && (x.endpoint == policy.Compact || refused != nil && compaction.Concerns(body))
}

// summarize translates such a request.
func (x *translated) summarize(dst, body []byte) (out []byte, turn *translate.Turn, err *responses.Error) {
	var passed *jsontext.Checker
	if x.isChecked() {
		passed = &x.body.check
	}
	out, turn, x.summed, err = x.summarizer.Request(dst, summary.Request{
		Body: body, Passed: passed, Owner: policy.Owner(x.cfg, x.caller), Window: x.endpoint == policy.Compact, ID: newID(), Now: x.begun.unix(),
	})
	return out, turn, err
}

// sum begins with an answer that is a summary.
func (x *translated) sum(h header) types.Action {
	kind := "application/json"
	if x.summed.Streaming() {
		kind = "text/event-stream"
		h.setAnswer("cache-control", "no-cache")
	}
	return x.gather(h, kind, summedUp{x}, x.cfg.Limits.FilterText()/4)
}

// summedUp makes a compaction of a summary.
type summedUp struct{ x *translated }

func (s summedUp) make(all []byte) ([]byte, *responses.Error) {
	x, now := s.x, s.x.clock.now()
	if jsontext.Check(all, x.jsonLimits().Answer()) != nil {
		return nil, responses.NewError(502, "upstream_invalid_answer", "the model server sent an answer that is not JSON")
	}
	out, err := x.summed.Answer(nil, all, now.unix())
	if err != nil {
		return nil, err
	}
	if x.summed.Streaming() {
		x.firstToken(now)
	}
	return out, nil
}

func (s summedUp) failed(e *responses.Error) []byte {
	return s.x.summed.Failed(nil, e, s.x.clock.unix())
}
