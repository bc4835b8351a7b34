package policy

import (
	"strconv"
	"strings"

	"antwort/shared/responses"
)

// ContentType refuses a body that has to be read unless it says, once, that it is
// JSON in UTF-8: as nothing else would it be read. Whoever reads a forwarded one
// next may go by what it says, and must find the same in it. given are all values
// of the field.
func ContentType(given []string) *responses.Error {
	if len(given) == 1 && (given[0] == "application/json" || isJSON(given[0])) {
		return nil
	}
	message, all := "content-type must be application/json", strings.Join(given, ", ")
	if MediaType(all) == "application/json" {
		message += " in UTF-8"
	}
	if all != "" {
		message += ", not " + Clip(all, 64)
	}
	return responses.NewError(415, "unsupported_content_type", message)
}

// isJSON reads a media type (RFC 9110 section 8.3.1). Values of parameters are
// taken in plain letters only, quoted or not: what is written in other ways is
// read in several.
func isJSON(mediaType string) bool {
	kind, rest, _ := strings.Cut(mediaType, ";")
	if !strings.EqualFold(strings.Trim(kind, " \t"), "application/json") {
		return false
	}
	for rest != "" {
		var parameter string
		parameter, rest, _ = strings.Cut(rest, ";")
		if parameter = strings.Trim(parameter, " \t"); parameter == "" {
			continue
		}
		name, value, _ := strings.Cut(parameter, "=")
		if n := len(value) - 1; n > 0 && value[0] == '"' && value[n] == '"' {
			value = value[1:n]
		}
		if !isPlain(name) || !isPlain(value) {
			return false
		}
		if strings.EqualFold(name, "charset") && !strings.EqualFold(value, "utf-8") && !strings.EqualFold(value, "utf8") {
			return false
		}
	}
	return true
}

func isPlain(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return s != ""
}

// MediaType is the type of a Content-Type header without its parameters, in
// lower case (RFC 9110 section 8.3.1).
func MediaType(contentType string) string {
	if contentType == "application/json" || contentType == "text/event-stream" { // as nearly all are written
		return contentType
	}
	t, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// Coding is the coding of a body by all values of Content-Encoding, "" for none.
func Coding(contentEncoding []string) string {
	if len(contentEncoding) == 0 {
		return ""
	}
	coding := strings.ToLower(strings.TrimSpace(strings.Join(contentEncoding, ", ")))
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

// NotStreamed is the answer when the upstream did not stream what it was to.
func NotStreamed() *responses.Error { return responses.NotStreamed() }

// Internal is the answer after a failure of our own.
func Internal() *responses.Error {
	return responses.NewError(500, "internal_error", "the server failed on this request; the request id tells its operator where to look")
}

// Full is the answer when the backends of a route have as many requests as they may.
func Full() *responses.Error {
	e := responses.NewError(503, "overloaded", "the model servers have as many requests as they may: try again later")
	e.RetryAfter = "1"
	return e
}

// LimitsUnavailable is the answer while nobody knows how much has been used.
func LimitsUnavailable() *responses.Error {
	e := responses.NewError(503, "limits_unavailable", "it cannot be told at the moment how much you have used: try again later")
	e.RetryAfter = "1"
	return e
}

// Overloaded is the answer when as much is held as may be.
func Overloaded() *responses.Error {
	e := responses.NewError(503, "overloaded", "the gateway holds as many requests as it may: try again later")
	e.RetryAfter = "1"
	return e
}
