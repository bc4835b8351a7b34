package ingress

import (
	"bytes"
	"net/http"
	"strconv"

	"antwort/shared/responses"
)

// net/http answers what is no request to it by itself, in plain text: no valid
// HTTP, a header over the limit, an unknown Transfer-Encoding or Expect. Such an
// answer is one write outside of any handler, and the connection's last, so the
// connection can give it the body that all errors have.

// lastAnswer is an answer outside of any handler, after which the connection
// ends.
func lastAnswer(e *responses.Error) []byte {
	body := e.AppendBody(nil)
	b := append([]byte("HTTP/1.1 "), strconv.Itoa(e.Status)...)
	b = append(b, ' ')
	b = append(b, http.StatusText(e.Status)...)
	b = append(b, "\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	return append(b, body...)
}

// refusal reads net/http's own answer. It returns nil when p is none.
func refusal(p []byte) *responses.Error {
	rest, ok := bytes.CutPrefix(p, []byte("HTTP/1.1 "))
	if !ok || len(rest) < 3 || rest[0] != '4' && rest[0] != '5' {
		return nil
	}
	status, err := strconv.Atoi(string(rest[:3]))
	if err != nil {
		return nil
	}
	line, _, _ := bytes.Cut(rest[3:], []byte("\r\n"))
	switch status {
	case http.StatusRequestHeaderFieldsTooLarge:
		return responses.NewError(status, "header_too_large", "the request's header is over this server's limit")
	case http.StatusExpectationFailed:
		return responses.NewError(status, "unsupported_expectation", "expect can only be 100-continue")
	case http.StatusNotImplemented:
		return responses.NewError(status, "unsupported_transfer_encoding", "transfer-encoding can only be chunked")
	}
	message := "the request is not valid HTTP"
	if _, why, ok := bytes.Cut(line, []byte(": ")); ok { // one of net/http's constants
		message += ": " + string(why)
	}
	return responses.NewError(status, "invalid_http", message)
}
