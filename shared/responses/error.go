// Package responses is the wire form of the Responses API: the request with
// its validation, the response resource, the items, the events of a stream and
// the errors, as the Open Responses specification (2026-04-24) has them.
//
//	request's bytes ─► Check ─► members ─► Request ─► shared/translate ─► Output ─► resource, events
//
// Strings that are only moved stay in their escaped form (see jsontext); every
// Append function appends to dst and keeps nothing of it.
package responses

import (
	"strconv"
	"strings"
)

// An Error is an answer that is an error: the HTTP status and the body
// {"error":{"message","type","param","code"}}. Nothing internal (addresses,
// paths, stacks) may stand in it.
type Error struct {
	Status     int    // HTTP status, 4xx or 5xx
	Type       string // "invalid_request_error", "server_error", …
	Code       string // machine-readable; empty is null on the wire
	Param      string // path of the offending field, "input[2].content[0].type"; empty is null
	Message    string
	RetryAfter string // value of the Retry-After header, when there is one
}

func (e *Error) Error() string { return e.Message }

// NewError returns an error whose type follows from the status. What makes
// errors is not inlined: they are rare, and each copy would be in the filter.
//
//go:noinline
func NewError(status int, code, message string) *Error {
	return &Error{Status: status, Type: typeOf(status), Code: code, Message: message}
}

// Invalid returns a 400 that names the field at fault. The field also begins
// the message, whose rest is a sentence about it ("must be …") or of its own:
// the SDKs show their users the message alone.
func Invalid(param, message string) *Error {
	separator := ": "
	for _, verb := range [...]string{"is ", "has ", "must ", "contradicts "} {
		if strings.HasPrefix(message, verb) {
			separator = " "
		}
	}
	return &Error{Status: 400, Type: typeOf(400), Param: param, Message: param + separator + message}
}

//go:noinline
func invalidCode(param, code, message string) *Error {
	e := Invalid(param, message)
	e.Code = code
	return e
}

func typeOf(status int) string {
	switch {
	case status == 401:
		return "authentication_error"
	case status == 403:
		return "permission_error"
	case status == 404:
		return "not_found_error"
	case status == 429:
		return "rate_limit_error"
	case status >= 500:
		return "server_error"
	default:
		return "invalid_request_error"
	}
}

// AppendBody appends the JSON body of the answer.
func (e *Error) AppendBody(dst []byte) []byte {
	dst = append(dst, `{"error":`...)
	dst = e.appendObject(dst)
	return append(dst, '}')
}

func (e *Error) appendObject(dst []byte) []byte {
	dst = appendString(dst, `{"message":`, e.Message)
	dst = appendString(dst, `,"type":`, e.Type)
	dst = appendStringOrNull(dst, `,"param":`, e.Param)
	dst = appendStringOrNull(dst, `,"code":`, e.Code)
	return append(dst, '}')
}

// At is the path of an entry of a list: "input[2]".
//
//go:noinline
func At(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// Of is the path of a member of what stands at a path: "input[2].content".
//
//go:noinline
func Of(path, member string) string { return path + "." + member }

// LoopDetected is the answer to a request that has come back to where it was
// (RFC 5842 section 7.2).
func LoopDetected() *Error {
	return NewError(508, "loop_detected", "the request has come back to a server that it has passed before: a backend's address leads to the gateway itself; the operator must check engine.backend_url and routes")
}

// AnswerTooLarge is the answer when the upstream's is over the limit.
func AnswerTooLarge() *Error {
	return NewError(502, "upstream_invalid_answer", "the model server's answer is over this server's limit")
}

// NotStreamed is the answer when an upstream did not stream what it was to.
func NotStreamed() *Error {
	return NewError(502, "upstream_invalid_answer", "the model server did not stream its answer")
}
