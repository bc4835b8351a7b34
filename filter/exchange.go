package filter

import (
	"strings"

	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// exchange is one request and what becomes of it.
type exchange struct {
	*plugin
	id        uint32
	handler   handler          // nil: all passes untouched
	caller    *policy.Identity // nil: not known, or nobody is asked
	decision  policy.Decision
	fields    header                     // of the request, while the decision asks for them
	values    func(name string) []string // of a field among them; stays for the next request
	room      [1]string                  // for what it returns
	texts     [2][]byte                  // of the headers, whose strings live as long as the exchange; stay likewise
	pool      *pool                      // nil: the request has no way yet
	closed    bool                       // nothing more of the request may pass
	marked    bool                       // for Envoy's rate limit
	requestID string
	begun     instant // when the request's headers came
	holding   holding
	aside     int    // bytes that are charged since the request has gone on
	leaving   int    // bytes of the request that Envoy holds
	failed    bool   // a failure was counted
	first     bool   // the first token was counted
	as        ended  // how it counts as a request; endpoint "": not known yet
	told      bool   // the client has the answer's header
	complete  bool   // the answer came to its end
	forced    forced // panics, in builds for tests
}

// handler is how requests of one kind are handled, callback by callback. After
// reply none of its methods is called again but done.
type handler interface {
	requestHeaders(h header, end bool) types.Action
	requestBody(size int, end bool) types.Action
	requestTrailers() types.Action
	answerHeaders(h header, end bool) types.Action
	answerBody(size int, end bool) types.Action
	answerTrailers() types.Action
	drop() int // frees what others need, and says how much it keeps
	done()     // frees what is held
}

// answer is how answers of one kind are handled.
type answer interface {
	body(size int, end bool) types.Action
	trailers() types.Action
	free()
}

// close frees what the exchange holds; what is still to come passes untouched.
func (x *exchange) close() {
	if x.handler != nil {
		x.handler.done()
		x.handler = nil
	}
	x.uploaded()
	x.letGo()
}

// fail counts a failure; the first of an exchange only.
func (x *exchange) fail(kind failure.Kind) {
	if !x.failed {
		x.failed = true
		x.metrics.fail(kind)
	}
}

// sawToken is firstToken now.
func (x *exchange) sawToken() {
	if !x.first {
		x.firstToken(x.clock.now())
	}
}

// firstToken notes that the answer has begun to say something.
func (x *exchange) firstToken(now instant) {
	if !x.first {
		x.first = true
		x.metrics.firstToken.Record(uint64(max(0, now.since(x.begun).Milliseconds())))
	}
}

// reply answers the client with an error, as a local reply: in the request's
// phase instead of the upstream's answer, in the answer's phase in the place of
// headers that have not left yet. Once they have left Envoy can only cut the
// stream. The reply passes the filter's own callbacks untouched.
func (x *exchange) reply(kind failure.Kind, e *responses.Error, extra ...[2]string) types.Action {
	x.fail(kind)
	x.close()
	if !x.told {
		x.as.code = e.Status
	}
	h := append(make([][2]string, 0, 4), [2]string{"content-type", "application/json"})
	if x.requestID != "" {
		h = append(h, [2]string{"x-request-id", x.requestID})
	}
	if e.RetryAfter != "" {
		h = append(h, [2]string{"retry-after", e.RetryAfter})
	}
	must(proxywasm.SendHttpResponse(uint32(e.Status), append(h, extra...), e.AppendBody(nil), -1))
	return types.ActionPause
}

// answerFailure is reply for what is a failure in both tiers.
func (x *exchange) answerFailure(f *failure.Failure) types.Action {
	return x.reply(f.Kind, f.Reply, f.Fields...)
}

// refuse replies to a request that no handler has begun.
func (x *exchange) refuse(h header, kind failure.Kind, e *responses.Error, extra ...[2]string) {
	x.requestID = h.get("x-request-id")
	x.reply(kind, e, extra...)
	if x.as.endpoint == "" { // who calls is asked before what for
		path, _, _ := strings.Cut(h.get(":path"), "?")
		x.as.endpoint = endpointName(x.endpoint(path))
	}
	x.metrics.request(x.as)
}
