package chat

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"antwort/shared/jsontext"

	"github.com/valyala/fastjson"
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
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	v, err := fastjson.ParseBytes(body)
	if err != nil || v.Type() != fastjson.TypeObject {
		text := bytes.TrimSpace(body)
		if len(text) > 512 || !utf8.Valid(text) || bytes.HasPrefix(text, []byte("<")) {
			return &Error{} // a page, not a message
		}
		return &Error{Message: string(text)}
	}
	if e := v.Get("error"); e != nil {
		return readError(e)
	}
	if detail := v.Get("detail"); detail != nil {
		if detail.Type() == fastjson.TypeString {
			return &Error{Message: string(detail.GetStringBytes())}
		}
		return &Error{Message: string(detail.GetStringBytes("0", "msg")), Param: location(detail.GetArray("0", "loc"))}
	}
	return readError(v)
}

// location is the path of the field that FastAPI blames: ["body","top_p"]. Of a long one its
// beginning is told.
func location(steps []*fastjson.Value) string {
	var path []byte
	for _, step := range steps {
		if len(path) > 1<<10 {
			break
		}
		if len(path) > 0 {
			path = append(path, '.')
		}
		if step.Type() == fastjson.TypeString {
			path = append(path, step.GetStringBytes()...)
		} else {
			path = step.MarshalTo(path)
		}
	}
	return string(path)
}

// ErrorBytes is how much is read of an error, and of each text of one in the place of an
// answer.
const ErrorBytes = 64 << 10

func readError(v *fastjson.Value) *Error {
	if jsontext.IsString(v) {
		return &Error{Message: start(v)}
	}
	e := &Error{
		Message: start(v.Get("message")),
		Type:    start(v.Get("type")),
		Param:   start(v.Get("param")),
	}
	if code := v.Get("code"); !jsontext.IsString(code) {
		e.Status = code.GetInt()
	} else if code := start(code); code != "" {
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

// start is the beginning of a text.
func start(v *fastjson.Value) string {
	text, long := jsontext.LongInside(v)
	if !long {
		return string(v.GetStringBytes())
	}
	text, _ = jsontext.AppendRepaired(nil, text[:jsontext.Cut(text, ErrorBytes)], ErrorBytes) // nobody has checked it
	return string(jsontext.Decode(nil, text))
}
