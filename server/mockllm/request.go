package mockllm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fastjson"
)

var parsers fastjson.ParserPool

// A request is one parsed chat request. Its values are valid until its parser
// is used again.
type request struct {
	body     *fastjson.Value
	messages []*fastjson.Value
	tools    []*fastjson.Value

	maxModelLen  int // in tokens
	promptTokens int
}

// parse reads a body as FastAPI does: valid JSON, then an object. Content-type
// is wanted as vLLM wants it.
func parse(p *fastjson.Parser, contentType string, body []byte) (*request, *refusal) {
	media, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	if strings.TrimSpace(media) != "application/json" {
		return nil, &refusal{status: 400, typ: "Bad Request",
			message: "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed"}
	}
	if !utf8.Valid(body) {
		return nil, statusRefusal(400, "There was an error parsing the body")
	}
	if !json.Valid(body) {
		return nil, badJSON(body)
	}
	v, err := p.ParseBytes(body)
	if err != nil { // deeper than the parser's limit
		return nil, statusRefusal(400, "There was an error parsing the body")
	}
	if v.Type() != fastjson.TypeObject {
		return nil, invalid(fieldError{"model_attributes_type", "body",
			"Input should be a valid dictionary or object to extract fields from", pyValue(v)})
	}
	return &request{body: v, messages: v.GetArray("messages"), tools: v.GetArray("tools")}, nil
}

func badJSON(body []byte) *refusal {
	var syntax *json.SyntaxError
	var discard json.RawMessage
	at, problem := len(body), "Expecting value"
	if err := json.Unmarshal(body, &discard); errors.As(err, &syntax) {
		if at = int(syntax.Offset); at > 0 && !strings.Contains(syntax.Error(), "unexpected end") {
			at--
		}
		switch msg := syntax.Error(); {
		case strings.Contains(msg, "after top-level value"):
			problem = "Extra data"
		case strings.Contains(msg, "object key string"):
			problem = "Expecting property name enclosed in double quotes"
		case strings.Contains(msg, "after object key"):
			problem = "Expecting ':' delimiter"
		case strings.Contains(msg, "after object key:value pair"), strings.Contains(msg, "after array element"):
			problem = "Expecting ',' delimiter"
		}
	}
	loc := fmt.Sprintf("body.%d", at)
	return &refusal{status: 400, typ: "Bad Request", param: loc, message: fmt.Sprintf(
		"1 validation error:\n  {'type': 'json_invalid', 'loc': '%s', 'msg': 'JSON decode error', 'input': '<dict of 0 items>', 'ctx': {'error': %s}}",
		loc, pyString(problem))}
}

func (r *request) str(key string) string   { return string(r.body.GetStringBytes(key)) }
func (r *request) bool(key string) bool    { return r.body.GetBool(key) }
func (r *request) has(key string) bool     { return present(r.body.Get(key)) }
func (r *request) role(i int) string       { return string(r.messages[i].GetStringBytes("role")) }
func (r *request) parallelToolCalls() bool { return !isFalse(r.body.Get("parallel_tool_calls")) }

// maxTokens is the limit of the answer, 0 without one.
func (r *request) maxTokens() (n int, key string) {
	if r.has("max_completion_tokens") {
		return r.body.GetInt("max_completion_tokens"), "max_completion_tokens"
	}
	return r.body.GetInt("max_tokens"), "max_tokens"
}

// lastText is the text of the last message, whatever its role.
func (r *request) lastText() string {
	if len(r.messages) == 0 {
		return ""
	}
	return contentText(r.messages[len(r.messages)-1].Get("content"))
}

// lastUserText is the text of the last user message, without steering lines.
func (r *request) lastUserText() string {
	for i := len(r.messages) - 1; i >= 0; i-- {
		if r.role(i) == "user" {
			return withoutSteering(contentText(r.messages[i].Get("content")))
		}
	}
	return ""
}

// contentText joins the text parts of a message with newlines, as vLLM does.
func contentText(content *fastjson.Value) string {
	if content == nil {
		return ""
	}
	if s, err := content.StringBytes(); err == nil {
		return string(s)
	}
	var b bytes.Buffer
	for _, part := range content.GetArray() {
		text := part.GetStringBytes("text")
		if s, err := part.StringBytes(); err == nil {
			text = s
		}
		if text == nil {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.Write(text)
	}
	return b.String()
}

// toolName is the name of a tool in the nested form of Chat Completions.
func toolName(tool *fastjson.Value) string {
	return string(tool.GetStringBytes("function", "name"))
}

// stopStrings reads stop, a string or an array of strings.
func stopStrings(r *request) []string {
	v := r.body.Get("stop")
	if !present(v) {
		return nil
	}
	if s, err := v.StringBytes(); err == nil {
		return []string{string(s)}
	}
	var out []string
	for _, s := range v.GetArray() {
		out = append(out, string(s.GetStringBytes()))
	}
	return out
}
