package envoy

import (
	"net/http"

	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/translate"
)

// localReplies gives Envoy's own replies the error shape of the API. Many of
// them come before the filter has seen the request, so it cannot do it.
func (r *renderer) localReplies() object {
	mappers := make(list, 0, len(replies))
	for _, reply := range replies {
		if reply.token && !r.byToken() {
			continue
		}
		mappers = append(mappers, reply.mapper())
	}
	return object{{"mappers", mappers}}
}

// TokenReplies is the local_reply_config of a gateway of Istio whose tokens Envoy
// verifies: what it says of them, in the error shape of the API. denied is the
// AuthorizationPolicy that refuses who has none.
func TokenReplies(denied string) ([]byte, error) {
	missing := reply{expression("response.code_details.contains('-policy[" + denied + "]-')"), policy.MissingToken(), true}.mapper()
	challenge := policy.Challenge(policy.MissingToken())
	mappers := list{append(missing, member{"headers_to_add", list{setHeader(challenge[0], challenge[1])}})}
	for _, reply := range replies {
		if reply.token {
			mappers = append(mappers, reply.mapper())
		}
	}
	return marshal(object{{"mappers", mappers}})
}

// reply is what Envoy says in our words. The first that fits is taken.
type reply struct {
	when  object // filter
	error *responses.Error
	token bool // is about tokens
}

var replies = []reply{
	// The filter's replies, which carry no details, and those of the routes
	// have their shape already.
	{expression("response.code_details == '' || response.code_details == 'direct_response'"), nil, false},
	{expression("response.code_details.startsWith('rbac_access_denied')"), unknownURL(), false},
	{expression("response.code_details == 'upgrade_failed'"), policy.WebSocket(), false},
	// What Envoy says of tokens. It keeps its own WWW-Authenticate.
	refusedToken("Jwt_is_missing", policy.MissingToken()),
	refusedToken("Jwks_remote_fetch_is_failed", policy.AuthUnavailable()),
	refusedToken("Jwt_is_expired", policy.InvalidToken("the token has expired (exp)")),
	refusedToken("Jwt_not_yet_valid", policy.InvalidToken("the token is not valid yet (nbf)")),
	refusedToken("Jwt_issuer_is_not_configured", policy.InvalidToken("the token is of an issuer (iss) that is not believed here")),
	refusedToken("Audiences_in_Jwt_are_not_allowed", policy.InvalidToken("the token is not for this service (aud)")),
	refusedToken("", policy.InvalidToken("the token is not signed by its issuer, or is none")),
	{flagged("UT", "UMSDR"), translate.TimeoutError(), false},
	// No connection; no host is known or healthy; the name does not resolve.
	{flagged("UF", "UH", "NC", "DF"), unavailable(), false},
	{flagged("UO"), policy.Full(), false},
	// The connection ended without an answer; the answer was no HTTP.
	{flagged("UC", "UR", "LR"), responses.NewError(http.StatusBadGateway, "upstream_closed", "the model server closed the connection without an answer"), false},
	{flagged("UPE"), responses.NewError(http.StatusBadGateway, "upstream_malformed", "the model server's answer is not valid HTTP"), false},
	with(http.StatusBadRequest, "invalid_request", "the request is not valid HTTP, or its path has encoded slashes"),
	with(http.StatusForbidden, "forbidden", "this is not allowed"),
	{statusFilter("EQ", http.StatusNotFound), unknownURL(), false},
	with(http.StatusRequestTimeout, "request_timeout", "the request did not arrive in time"),
	with(http.StatusRequestEntityTooLarge, "request_too_large", "the request body is larger than this gateway takes"),
	with(http.StatusUpgradeRequired, "upgrade_required", "use HTTP/1.1 or HTTP/2"),
	with(http.StatusTooManyRequests, "rate_limit_exceeded", "too many requests: try again later"),
	with(http.StatusRequestHeaderFieldsTooLarge, "header_too_large", "the request's header is larger than this gateway takes"),
	with(http.StatusBadGateway, "upstream_unavailable", "the model server gave no valid answer: try again later"),
	{statusFilter("EQ", http.StatusServiceUnavailable), overloaded(), false},
	{statusFilter("EQ", http.StatusGatewayTimeout), translate.TimeoutError(), false},
	{statusFilter("GE", http.StatusInternalServerError), internal(), false},
}

// with is Envoy's reply with this status.
func with(status int, code, message string) reply {
	return reply{statusFilter("EQ", status), responses.NewError(status, code, message), false}
}

// refusedToken is a refusal of jwt_authn, whose details begin so.
func refusedToken(details string, e *responses.Error) reply {
	return reply{expression("response.code_details.startsWith('jwt_authn_access_denied{" + details + "')"), e, true}
}

func unknownURL() *responses.Error {
	return responses.NewError(http.StatusNotFound, "unknown_url", "unknown path (this server has "+responsesPath+" and "+modelsPath+")")
}

func unavailable() *responses.Error {
	e := responses.NewError(http.StatusServiceUnavailable, "upstream_unavailable", "the model server cannot be reached at the moment: try again later")
	e.RetryAfter = "5"
	return e
}

func overloaded() *responses.Error {
	e := responses.NewError(http.StatusServiceUnavailable, "overloaded", "the gateway cannot take the request now: try again later")
	e.RetryAfter = "1"
	return e
}

func internal() *responses.Error {
	return responses.NewError(http.StatusInternalServerError, "internal_error", "the gateway failed on this request; the request id tells its operator where to look")
}

func (r reply) mapper() object {
	if r.error == nil {
		return object{{"filter", r.when}}
	}
	var header any
	if r.error.RetryAfter != "" {
		header = list{setHeader("retry-after", r.error.RetryAfter)}
	}
	return object{
		{"filter", r.when},
		{"status_code", r.error.Status},
		{"headers_to_add", header},
		{"body_format_override", object{
			{"content_type", "application/json"},
			{"text_format_source", object{{"inline_string", string(r.error.AppendBody(nil))}}},
		}},
	}
}

// setHeader sets a field, whatever it was.
func setHeader(name, value string) object {
	return object{
		{"header", object{{"key", name}, {"value", value}}},
		{"append_action", "OVERWRITE_IF_EXISTS_OR_ADD"},
	}
}
