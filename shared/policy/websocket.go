package policy

import (
	"strings"

	"antwort/shared/failure"
	"antwort/shared/responses"
)

// AsksForWebSocket reports whether a request wants to go on as a WebSocket. upgrade
// is its Upgrade field.
func (e *Endpoint) AsksForWebSocket(method, upgrade string) bool {
	return e == Create && method == "GET" && IsWebSocket(upgrade)
}

// IsWebSocket reports whether an Upgrade field names WebSocket.
func IsWebSocket(upgrade string) bool {
	return upgrade != "" && strings.EqualFold(strings.TrimSpace(upgrade), "websocket")
}

// WebSocket refuses an upgrade. Clients that try one, such as Codex, go on over
// HTTP at once for this status, and after seven tries for others.
func WebSocket() *responses.Error { return noWebSocket(426, "WebSocket is not spoken here") }

func noWebSocket(status int, why string) *responses.Error {
	return responses.NewError(status, "websocket_unsupported", why+": use HTTP, POST "+Create.Name+" with stream true for server-sent events")
}

// BeginWebSocket decides about a request for a WebSocket that a backend is to speak.
// Nobody reads here what is said over it, so where a model decides it is refused.
func (d *Decider) BeginWebSocket(r Request) (Decision, *failure.Failure) {
	x := Decision{Route: -1, from: d, request: r, Repeatable: true}
	route, decided := d.router.ChooseUnread(x.ask(""))
	switch {
	case r.Caller.Restricted():
		return x, failure.Of(failure.ForbiddenModel, noWebSocket(403, "this key is for certain models only, and nobody reads here which models are asked for over a WebSocket"))
	case !decided || route >= 0 && d.routes[route].renames:
		return x, failure.Of(failure.WrongMethod, noWebSocket(426, "the model decides here where a request goes, and nobody reads it over a WebSocket"))
	case route >= 0 && d.routes[route].translates:
		return x, failure.Of(failure.WrongMethod, WebSocket())
	}
	return x, x.goTo(route)
}

// NotForPages refuses a WebSocket to a page in a browser that is none of
// server.cors.allowed_origins.
func NotForPages() *failure.Failure {
	return failure.Of(failure.Unauthorized, responses.NewError(403, "origin_not_allowed",
		"pages of this origin may not use this server: the operator can allow it with server.cors.allowed_origins"))
}
