package filter

import (
	"strings"

	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/policy"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// httpContext is a request as the host calls it. Its callbacks hand over to the
// exchange's handler until the request is answered by the filter itself or ends.
//
// Upstream resets and clients that go away come as OnHttpStreamDone and nothing
// else: the filter can send nothing then.
type httpContext struct {
	types.DefaultHttpContext
	exchange
	all        *vmContext
	forwarded  forwarded  // room for the handler
	translated translated // likewise
}

// OnHttpRequestHeaders finds out what the request is for.
func (c *httpContext) OnHttpRequestHeaders(_ int, end bool) (action types.Action) {
	defer c.recovered(&action)
	c.closed = c.access != nil // until it is known who calls
	h := c.requestHeader()
	c.forced.note(h)
	h, known := c.identify(h)
	if !known {
		return types.ActionPause
	}
	path, _, _ := strings.Cut(h.get(":path"), "?")
	endpoint := c.endpoint(path)
	c.as.endpoint = endpointName(endpoint)
	upgrades := endpoint != nil && policy.IsWebSocket(h.get("upgrade"))
	if c.cameBack(h) || !upgrades && c.caller.Restricted() && c.confined(h, path, endpoint) {
		return types.ActionPause
	}
	c.closed = false
	if c.cfg.Filter.RateLimits != config.NoRateLimits {
		c.mark(h, endpoint)
	}
	if upgrades {
		return c.upgrade(h, endpoint)
	}
	if policy.IsResponses(path) {
		return c.open(h, path, endpoint, end)
	}
	if endpoint != nil && endpoint.Passes {
		return c.pass(h, endpoint, end)
	}
	if endpoint != nil {
		return c.list(h, path, endpoint)
	}
	return types.ActionContinue
}

// list handles a request for the list of models, or one of them.
func (c *httpContext) list(h header, path string, endpoint *policy.Endpoint) types.Action {
	method := h.get(":method")
	switch {
	case c.router == nil && !c.caller.Restricted():
		c.direct() // to the one pool, number 0
	case !endpoint.Allows(method):
		c.refuse(h, failure.WrongMethod, endpoint.WrongMethod(method, ""), [2]string{"allow", endpoint.Allow})
	default:
		list, f := c.models(h, path, endpoint)
		if f != nil {
			c.refuse(h, f.Kind, f.Reply)
		}
		if list != nil && method == "GET" {
			c.begun = c.clock.now()
			c.handler = &listed{exchange: &c.exchange, list: list}
			return c.handler.requestHeaders(h, true)
		}
	}
	if c.pool == nil { // it has been answered
		return types.ActionPause
	}
	return types.ActionContinue
}

// open begins a request of the Responses API.
func (c *httpContext) open(h header, path string, endpoint *policy.Endpoint, end bool) types.Action {
	if c.cfg.Engine.Provider == config.VLLMResponses {
		return c.forward(h, endpoint, end)
	}
	c.translated.exchange, c.translated.endpoint, c.translated.path = &c.exchange, endpoint, path
	return c.start(&c.translated, h, end)
}

// forward begins a request that is not translated.
func (c *httpContext) forward(h header, endpoint *policy.Endpoint, end bool) types.Action {
	c.forwarded.exchange, c.forwarded.endpoint = &c.exchange, endpoint
	return c.start(&c.forwarded, h, end)
}

func (c *httpContext) start(by handler, h header, end bool) types.Action {
	c.begun = c.clock.now()
	c.requestID = h.get("x-request-id")
	c.handler = by
	c.forced.at("request_headers")
	return by.requestHeaders(h, end)
}

// OnHttpRequestBody comes for every chunk of the request's body.
func (c *httpContext) OnHttpRequestBody(size int, end bool) (action types.Action) {
	if c.handler == nil {
		return c.unread()
	}
	defer c.recovered(&action)
	c.forced.at("request_body")
	return c.handler.requestBody(size, end)
}

// OnHttpRequestTrailers ends a request that has trailers.
func (c *httpContext) OnHttpRequestTrailers(int) (action types.Action) {
	if c.handler == nil {
		return c.unread()
	}
	defer c.recovered(&action)
	c.forced.at("request_trailers")
	return c.handler.requestTrailers()
}

// unread is what becomes of a request that nobody handles.
func (c *httpContext) unread() types.Action {
	if c.closed {
		return types.ActionPause
	}
	return types.ActionContinue
}

// OnHttpResponseHeaders begins an answer: the upstream's or one of Envoy's own.
func (c *httpContext) OnHttpResponseHeaders(_ int, end bool) (action types.Action) {
	if c.handler == nil {
		return types.ActionContinue
	}
	defer c.recovered(&action)
	c.forced.at("response_headers")
	h := c.answerHeader()
	c.as.code = h.status()
	if c.marked {
		c.tellLimits(h)
	}
	action = c.handler.answerHeaders(h, end)
	c.told = action == types.ActionContinue
	return action
}

// OnHttpResponseBody comes for every chunk of the answer's body.
func (c *httpContext) OnHttpResponseBody(size int, end bool) (action types.Action) {
	if c.handler == nil {
		return types.ActionContinue
	}
	defer c.recovered(&action)
	c.forced.at("response_body")
	action = c.handler.answerBody(size, end)
	c.told = c.told || action == types.ActionContinue
	return action
}

// OnHttpResponseTrailers ends an answer that has trailers.
func (c *httpContext) OnHttpResponseTrailers(int) (action types.Action) {
	if c.handler == nil {
		return types.ActionContinue
	}
	defer c.recovered(&action)
	return c.handler.answerTrailers()
}

// OnHttpStreamDone comes once, however the stream ends, and nothing after it.
func (c *httpContext) OnHttpStreamDone() {
	if c.begun != 0 {
		c.end()
	}
	c.all.takeBack(c)
}

func (c *httpContext) end() {
	defer func() {
		if r := recover(); r != nil {
			c.metrics.panics.Increment(1)
			logPanic(c.requestID, r)
			c.handler = nil // whatever state it is in
			c.gate.leave(&c.exchange)
			c.close()
		}
	}()
	c.metrics.request(c.as)
	c.forced.at("done")
	if c.handler != nil && !c.complete {
		c.fail(failure.Cut)
	}
	c.gate.leave(&c.exchange)
	c.close()
}
