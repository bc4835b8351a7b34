package policy

import (
	"strconv"
	"strings"

	"antwort/shared/responses"
)

// ContentType refuses a request whose body does not say that it is JSON. given
// is the header's value.
func ContentType(given string) *responses.Error {
	if given == "application/json" || MediaType(given) == "application/json" {
		return nil
	}
	message := "content-type must be application/json"
	if given != "" {
		message += ", not " + Clip(given, 64)
	}
	return responses.NewError(415, "unsupported_content_type", message)
}

// MediaType is the type of a Content-Type header without its parameters, in
// lower case (RFC 9110 section 8.3.1).
func MediaType(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// Coding is the coding of a body by its Content-Encoding header, "" for none.
func Coding(contentEncoding string) string {
	coding := strings.ToLower(strings.TrimSpace(contentEncoding))
	if coding == "identity" {
		return ""
	}
	return coding
}

// WrongCoding refuses a body's coding; the answer also needs the header
// Accept-Encoding (RFC 9110 section 15.5.16). use names the codings that there
// are.
func WrongCoding(coding, use string) *responses.Error {
	return responses.NewError(415, "unsupported_content_encoding", "content-encoding "+Clip(coding, 64)+" is not supported: use "+use)
}

// TooLarge refuses a body over the limit, in bytes.
func TooLarge(limit int64) *responses.Error {
	return responses.NewError(413, "request_too_large",
		"the request body is over this server's limit of "+strconv.FormatInt(limit, 10)+" bytes")
}

// AnswerTooLarge is the answer when the upstream's is over the limit.
func AnswerTooLarge() *responses.Error {
	return responses.NewError(502, "upstream_invalid_answer", "the model server's answer is over this server's limit")
}

// NotStreamed is the answer when the upstream did not stream what it was to.
func NotStreamed() *responses.Error {
	return responses.NewError(502, "upstream_invalid_answer", "the model server did not stream its answer")
}

// Internal is the answer after a failure of our own.
func Internal() *responses.Error {
	return responses.NewError(500, "internal_error", "the server failed on this request; the request id tells its operator where to look")
}
