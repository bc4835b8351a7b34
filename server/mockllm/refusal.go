package mockllm

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/valyala/fastjson"

	"antwort/shared/jsontext"
)

// A refusal is an error answer of vLLM: {"error":{message,type,param,code}}
// with an int code.
type refusal struct {
	status              int
	typ, message, param string
	retryAfter          string
}

func (r *refusal) appendBody(dst []byte) []byte {
	dst = append(dst, `{"error":{"message":`...)
	dst = jsontext.AppendString(dst, r.message)
	dst = append(dst, `,"type":`...)
	dst = jsontext.AppendString(dst, r.typ)
	dst = append(dst, `,"param":`...)
	if r.param == "" {
		dst = append(dst, "null"...)
	} else {
		dst = jsontext.AppendString(dst, r.param)
	}
	dst = append(dst, `,"code":`...)
	dst = strconv.AppendInt(dst, int64(r.status), 10)
	return append(dst, "}}"...)
}

func (r *refusal) write(w http.ResponseWriter) {
	if r.retryAfter != "" {
		w.Header().Set("Retry-After", r.retryAfter)
	}
	writeBody(w, r.status, r.appendBody(nil))
}

// statusRefusal is what vLLM makes of an HTTPException: the type is the
// status's phrase.
func statusRefusal(status int, message string) *refusal {
	return &refusal{status: status, typ: http.StatusText(status), message: message}
}

// badRequest is vLLM's VLLMValidationError.
func badRequest(param, message string, value ...any) *refusal {
	var extras []string
	if param != "" {
		extras = append(extras, "parameter="+param)
	}
	for _, v := range value {
		extras = append(extras, fmt.Sprintf("value=%v", v))
	}
	if extras != nil {
		message += " (" + strings.Join(extras, ", ") + ")"
	}
	return &refusal{status: 400, typ: "BadRequestError", message: message, param: param}
}

// A fieldError is one entry of a pydantic validation error.
type fieldError struct {
	kind, loc, msg string
	input          string // as Python prints it
}

// invalid is vLLM's answer to a body that its schema refuses.
func invalid(errs ...fieldError) *refusal {
	label := "error"
	if len(errs) > 1 {
		label = "errors"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d validation %s:", len(errs), label)
	for i, e := range errs {
		if i == 10 {
			fmt.Fprintf(&b, "\n  ...and %d more %s", len(errs)-i, label)
			break
		}
		fmt.Fprintf(&b, "\n  {'type': '%s', 'loc': '%s', 'msg': %s, 'input': %s}", e.kind, e.loc, pyString(e.msg), e.input)
	}
	return &refusal{status: 400, typ: "Bad Request", message: b.String(), param: errs[0].loc}
}

// pyValue prints a JSON value as vLLM's validation errors print an input.
func pyValue(v *fastjson.Value) string {
	switch v.Type() {
	case fastjson.TypeObject:
		o, _ := v.Object()
		return fmt.Sprintf("'<dict of %d items>'", o.Len())
	case fastjson.TypeArray:
		return fmt.Sprintf("'<list of %d items>'", len(v.GetArray()))
	case fastjson.TypeString:
		s := []rune(string(v.GetStringBytes()))
		if len(s) > 200 {
			return pyString(string(s[:200]) + "...[truncated]")
		}
		return pyString(string(s))
	case fastjson.TypeTrue:
		return "'True'"
	case fastjson.TypeFalse:
		return "'False'"
	case fastjson.TypeNull:
		return "'None'"
	default:
		return "'" + v.String() + "'"
	}
}

// pyString is repr of a string without control characters.
func pyString(s string) string {
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `\'`) + "'"
}

// pyFloat prints a float as Python does: 3.0, not 3.
func pyFloat(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e16 {
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// hidePath is vLLM's own removal of file paths from messages; it takes the
// full stop with the path.
func hidePath(name string) string {
	if strings.HasPrefix(name, "/") {
		return "<path>"
	}
	return name + "."
}
