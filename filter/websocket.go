package filter

import (
	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// socket is a request of provider vllm-responses for a WebSocket. The backend answers
// it; once it speaks WebSocket what either side says passes unread.
type socket struct{ forwarded }

// upgrade begins a request that is to go on as a WebSocket.
func (c *httpContext) upgrade(h header, endpoint *policy.Endpoint) types.Action {
	return c.start(&socket{forwarded: forwarded{exchange: &c.exchange, endpoint: endpoint}}, h, false)
}

func (x *socket) requestHeaders(h header, _ bool) types.Action {
	if x.cfg.Filter.RateLimits != config.NoRateLimits { // nobody would count its turns
		return x.reply(failure.WrongMethod, policy.WebSocket())
	}
	if x.cfg.Engine.Provider != config.VLLMResponses || !x.cfg.Websocket.Enabled || x.endpoint != policy.Create || h.get(":method") != "GET" {
		return x.reply(failure.WrongMethod, policy.WebSocket())
	}
	x.as.endpoint = websocketEndpoint
	if origins := h.all("origin"); len(origins) > 0 {
		if len(origins) > 1 || !policy.AllowsOrigin(x.cfg.Server.CORS.AllowedOrigins, origins[0]) {
			return x.answerFailure(policy.NotForPages())
		}
		h.removeRequest("origin") // it was looked at
	}
	var f *failure.Failure
	x.fields = h
	x.decision, f = x.decider.BeginWebSocket(policy.Request{Endpoint: x.endpoint, Method: "GET", Caller: x.caller, Field: x.field})
	if f != nil {
		return x.answerFailure(f)
	}
	x.direct()
	return types.ActionContinue
}

// requestBody refuses what comes before the backend's answer, for which clients wait (RFC
// 6455 section 4.1): a backend that still speaks HTTP would take it for another request,
// which nobody here has looked at.
func (x *socket) requestBody(size int, _ bool) types.Action {
	if size == 0 { // Envoy says so of every upgrade
		return types.ActionContinue
	}
	return x.reply(failure.InvalidRequest, responses.NewError(400, "invalid_http", "the request is not valid HTTP: something follows it, and its upgrade is not answered yet"))
}

func (x *socket) answerHeaders(h header, end bool) types.Action {
	if h.status() != 101 {
		return x.forwarded.answerHeaders(h, end)
	}
	if x.requestID != "" && !h.has("x-request-id") {
		must(proxywasm.AddHttpResponseHeader("x-request-id", x.requestID))
	}
	x.complete = true
	x.close()
	return types.ActionContinue
}
