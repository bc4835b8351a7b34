package filter

import (
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// reply answers the client with an error, as a local reply: in the request's
// phase instead of the upstream's answer, in the answer's phase in the place of
// headers that have not left yet. Once they have left Envoy can only cut the
// stream. The reply passes the filter's own callbacks untouched.
func (s *stream) reply(f failure, e *responses.Error, extra ...[2]string) types.Action {
	s.fail(f)
	s.close()
	h := append(make([][2]string, 0, 4), [2]string{"content-type", "application/json"})
	if s.requestID != "" {
		h = append(h, [2]string{"x-request-id", s.requestID})
	}
	if e.RetryAfter != "" {
		h = append(h, [2]string{"retry-after", e.RetryAfter})
	}
	must(proxywasm.SendHttpResponse(uint32(e.Status), append(h, extra...), e.AppendBody(nil), -1))
	return types.ActionPause
}

// refuse replies to a request that no exchange has begun for.
func (s *stream) refuse(h header, f failure, e *responses.Error, extra ...[2]string) {
	s.metrics.requests.Increment(1)
	s.requestID = h.get("x-request-id")
	s.reply(f, e, extra...)
}

// overload is the answer when all bytes in flight are over the limit.
func overload() *responses.Error {
	e := responses.NewError(503, "overloaded", "the gateway holds as many requests as it may: try again later")
	e.RetryAfter = "1"
	return e
}
