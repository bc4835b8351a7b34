package chat

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"antwort/shared/jsontext"
)

// An Error is what an upstream said of a failure.
type Error struct {
	Message string
	Type    string
	Param   string
	Code    string // a code in words; empty when it is only a number
	Status  int    // the code as an HTTP status (vLLM's code is an int), or 0
}

// ParseError reads the body of an answer that is an error, in the forms that
// upstreams have: {"error":{…}}, {"error":"…"}, the flat form of old vLLM
// {"object":"error",…}, FastAPI's {"detail":…}, or plain text.
func ParseError(body []byte) *Error {
	var d jsontext.Document
	v, ok := d.ParseLenient(body)
	if !ok || v.Kind() != jsontext.Object {
		text := bytes.TrimSpace(body)
		if len(text) > 512 || !utf8.Valid(text) || bytes.HasPrefix(text, []byte("<")) {
			return &Error{} // a page, not a message
		}
		return &Error{Message: string(text)}
	}
	if e := v.Get("error"); e.Exists() {
		return readError(e)
	}
	if detail := v.Get("detail"); detail.Exists() {
		if detail.Kind() == jsontext.String {
			return &Error{Message: string(detail.Text())}
		}
		return &Error{Message: string(detail.As(jsontext.Array).First().Get("msg").Text())}
	}
	return readError(v)
}

func readError(v jsontext.Value) *Error {
	if v.Kind() == jsontext.String {
		return &Error{Message: string(v.Text())}
	}
	status, _ := v.Get("code").Int()
	e := &Error{
		Message: string(v.Get("message").Text()),
		Type:    string(v.Get("type").Text()),
		Param:   string(v.Get("param").Text()),
		Status:  int(status),
	}
	if code := string(v.Get("code").Text()); code != "" {
		if n, err := strconv.Atoi(code); err == nil {
			e.Status = n
		} else {
			e.Code = code
		}
	}
	if e.Status < 400 || e.Status > 599 {
		e.Status = 0
	}
	return e
}
